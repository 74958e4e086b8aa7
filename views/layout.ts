/**
 * The frame of every page: head, navigation, message strip, footer.
 * @module
 */
import type { User } from '../domain/enrolment.ts'
import type { Html } from './html.ts'
import type { IconName } from './icons.ts'
import type { Tone } from './words.ts'
import { html, nothing } from './html.ts'
import { icon } from './icons.ts'

/** Who looks, and where the static files are. */
export interface Frame {
  viewer: Viewer | undefined
  assets: Assets
  version: string
  now: Date
}

/** The person signed in. */
export interface Viewer {
  userName: string
  role: User['role']
}

/** URLs with a hash in them, so that they may be kept for ever. */
export interface Assets {
  css: string
  js: string
  htmx: string
  icon: string
}

/** Whether the viewer may act, and not only look. */
export function mayOperate(viewer: Viewer | undefined): boolean {
  return viewer !== undefined && viewer.role !== 'viewer'
}

/** The parts of a page. */
export interface Page {
  title: string
  section: 'servers' | 'jobs' | 'settings' | 'none'
  body: Html
  message?: Message | undefined
  /** Where the page's changes stream from. */
  stream?: string | undefined
}

/** A strip above the page. */
export interface Message {
  tone: Tone
  text: string
}

/** Strict style rules forbid htmx its own style element; evaluation of code in attributes is not used. */
const htmxConfig = JSON.stringify({
  includeIndicatorCSS: false,
  history: false,
  defaultSettleDelay: 0,
  // What the reader has opened stays open.
  morphIgnore: ['data-htmx-powered', 'open'],
  // A gateway that was started again is back within seconds; a minute's wait would look like a failure.
  sse: { reconnectMaxDelay: 5000 },
})

/** A whole document. */
export function layout(frame: Frame, page: Page): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="htmx-config" content="${htmxConfig}" />
        <title>${page.title} – Rehost</title>
        <link rel="icon" href="${frame.assets.icon}" type="image/svg+xml" />
        <link rel="stylesheet" href="${frame.assets.css}" />
        <script src="${frame.assets.js}" defer></script>
        ${frame.viewer === undefined ? nothing : html`<script src="${frame.assets.htmx}" defer></script>`}
      </head>
      <body>
        <a class="skip" href="#main">Skip to content</a>
        ${frame.viewer === undefined ? nothing : header(frame.viewer, page.section)}
        <main id="main" tabindex="-1">
          ${page.message === undefined ? nothing : messageStrip(page.message)}
          ${page.stream === undefined ? nothing : html`<div hx-sse:connect="${page.stream}" hx-swap="none" hidden></div>`}
          ${page.body}
        </main>
        ${frame.viewer === undefined ? nothing : html`<footer class="foot"><span>Rehost ${frame.version}</span><span id="live" class="live" data-live hidden>Live</span></footer>`}
      </body>
    </html>`
}

function header(viewer: Viewer, section: Page['section']): Html {
  const link = (name: Page['section'], href: string, label: string, picture: IconName) =>
    html`<a class="nav-link" href="${href}" ${name === section ? html` aria-current="page"` : nothing}
      >${icon(picture)}<span>${label}</span></a
    >`
  return html`<header class="top">
    <a class="brand" href="/servers">${logo()}<span>Rehost</span></a>
    <nav class="nav" aria-label="Main">
      ${link('servers', '/servers', 'Servers', 'server')}
      ${link('jobs', '/jobs', 'Launch history', 'history')}
      ${link('settings', '/settings', 'Settings', 'settings')}
    </nav>
    <div class="who">
      <button
        class="icon-button"
        type="button"
        data-theme-switch
        hidden
        aria-label="Switch between light and dark"
      >
        ${icon('theme')}
      </button>
      <span class="who-name"
        >${icon('user')}<span>${viewer.userName}</span>${viewer.role === viewer.userName ? nothing : html`<span class="muted who-role">${viewer.role}</span>`}</span
      >
      <form method="post" action="/sign-out">
        <button class="icon-button" type="submit" aria-label="Sign out">${icon('signOut')}</button>
      </form>
    </div>
  </header>`
}

/** The mark: a block on its way. */
export function logo(): Html {
  return html`<svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true" focusable="false">
    <rect class="logo-back" width="32" height="32" rx="8" />
    <path class="logo-from" d="M8 8h7v7H8zM8 17h7v7H8z" />
    <path class="logo-to" d="M17 8h7v7h-7z" />
    <path class="logo-arrow" d="M17.5 20.5H24M21 17l3.5 3.5L21 24" />
  </svg>`
}

/** A strip that says what happened. */
export function messageStrip(message: Message): Html {
  const picture: IconName =
    message.tone === 'good' ? 'circleCheck' : message.tone === 'bad' ? 'circleCross' : 'info'
  return html`<p class="strip tone-${message.tone}" role="status">
    ${icon(picture)}<span>${message.text}</span>
  </p>`
}
