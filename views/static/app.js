/* Conveniences of the dashboard. Every page works without this file. */
'use strict'

// Theme: follows the system until the reader chooses.
const themeKey = 'rehost-theme'
const root = document.documentElement
try {
  const theme = localStorage.getItem(themeKey)
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme
} catch {
  // Storage is switched off: the system's theme is good enough.
}

document.addEventListener('DOMContentLoaded', () => {
  for (const button of document.querySelectorAll('[data-theme-switch]')) {
    button.hidden = false
    button.addEventListener('click', () => {
      const isDark = root.dataset.theme
        ? root.dataset.theme === 'dark'
        : matchMedia('(prefers-color-scheme: dark)').matches
      root.dataset.theme = isDark ? 'light' : 'dark'
      try {
        localStorage.setItem(themeKey, root.dataset.theme)
      } catch {
        // Chosen for this page alone then.
      }
    })
  }
  showCopyButtons()
  setInterval(refreshTimes, 1000)
})

// Copying: buttons appear only where they work.
function showCopyButtons() {
  for (const button of document.querySelectorAll('[data-copy]')) button.hidden = false
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy)
  const label = button.querySelector('[data-copy-label]')
  if (!source) return
  const text = source.textContent
  let done = false
  try {
    await navigator.clipboard.writeText(text)
    done = true
  } catch {
    // Plain HTTP has no clipboard: the text is selected instead, ready for the keyboard.
    getSelection().selectAllChildren(source)
    done = document.execCommand('copy')
  }
  if (label) label.textContent = done ? 'Copied' : 'Press Ctrl+C'
  setTimeout(() => {
    if (label) label.textContent = 'Copy'
  }, 2000)
}

// Times in words go on counting, as the server writes them.
function inWords(milliseconds) {
  const seconds = Math.floor(Math.abs(milliseconds) / 1000)
  if (seconds < 3) return 'just now'
  const amount =
    seconds < 60
      ? `${seconds} s`
      : seconds < 3600
        ? `${Math.floor(seconds / 60)} min`
        : seconds < 86400
          ? `${Math.floor(seconds / 3600)} h`
          : `${Math.floor(seconds / 86400)} d`
  return milliseconds >= 0 ? `${amount} ago` : `in ${amount}`
}

function refreshTimes() {
  if (document.hidden) return
  const now = Date.now()
  for (const time of document.querySelectorAll('time[data-relative]')) {
    const text = inWords(now - Date.parse(time.dateTime))
    if (time.textContent !== text) time.textContent = text
  }
}

// Questions before actions open in a dialog; without this they are pages.
async function ask(link) {
  const dialog = document.getElementById('dialog')
  if (!dialog) return false
  const response = await fetch(link.href, { headers: { 'X-Fragment': 'dialog' } })
  if (!response.ok || response.redirected) return false
  dialog.innerHTML = await response.text()
  dialog.showModal()
  dialog.querySelector('button, a')?.focus()
  return true
}

async function follow(link) {
  let isAsked = false
  try {
    isAsked = await ask(link)
  } finally {
    if (!isAsked) location.href = link.href
  }
}

document.addEventListener('click', (event) => {
  const target = event.target instanceof Element ? event.target : null
  if (!target || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return
  const button = target.closest('[data-copy]')
  if (button) return void copy(button)
  const closer = target.closest('[data-dialog-close]')
  const dialog = target.closest('dialog')
  if (closer && dialog) {
    event.preventDefault()
    return dialog.close()
  }
  if (target === dialog) return dialog.close()
  const link = target.closest('a[data-dialog]')
  if (link) {
    event.preventDefault()
    for (const menu of document.querySelectorAll('details[data-menu][open]')) menu.open = false
    void follow(link)
    return
  }
  for (const menu of document.querySelectorAll('details[data-menu][open]'))
    if (!menu.contains(target)) menu.open = false
})

document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape') return
  for (const menu of document.querySelectorAll('details[data-menu][open]')) {
    menu.open = false
    menu.querySelector('summary')?.focus()
  }
})

// The live stream: says whether it is there, and follows when the page is over.
function showLive(state) {
  const mark = document.querySelector('[data-live]')
  if (!mark) return
  mark.hidden = false
  mark.dataset.live = state
  mark.textContent = state === 'on' ? 'Live' : 'Connection lost, trying again…'
}

// Signed out, no longer allowed, or gone: the page itself says which, better than this script could.
const endings = [401, 403, 404]

function streamFailed(status) {
  if (endings.includes(status)) location.reload()
  else showLive('off')
}

// A stream that was there is opened again by htmx; one that never came is not.
const retryMs = 3000

function firstTryFailed(event) {
  const element = event.target
  const address = element instanceof Element ? element.getAttribute('hx-sse:connect') : null
  if (!address) return
  const status = event.detail?.ctx?.response?.status
  streamFailed(status)
  if (endings.includes(status)) return
  setTimeout(() => element.isConnected && htmx.ajax('GET', address, { source: element }), retryMs)
}

document.addEventListener('htmx:sse:after:connection', () => showLive('on'))
document.addEventListener('htmx:sse:error', (event) => streamFailed(event.detail?.status))
document.addEventListener('htmx:sse:before:connection', (event) => {
  if (event.detail?.connection?.attempt > 0) showLive('off')
})
document.addEventListener('htmx:response:error', firstTryFailed)
document.addEventListener('htmx:error', firstTryFailed)
document.addEventListener('htmx:after:swap', showCopyButtons)
document.addEventListener('signed-out', () => location.reload())
document.addEventListener('gone', () => {
  location.href = '/servers'
})
