/**
 * Live parts of pages. Whoever looks at the same thing shares one rendering: once a second, and at once when a notice says that something
 * changed, the parts are made and those that differ are handed out.
 * @module
 */
import type { Html } from '../views/html.ts'
import type { ChangeFeed } from './change_feed.ts'
import type { Log } from './log.ts'
import { NotFoundError, errorMessage } from '../domain/errors.ts'

/** Parts by the id of the element that each replaces. */
export type Parts = ReadonlyMap<string, Html>

/** What is shown now. */
export interface LiveView {
  /** Changes when elements come or go: then `whole` is sent, else the parts that differ. */
  frame: string
  parts: Parts
  whole: Parts
}

/** Receives parts as text, or that the thing looked at is gone. */
export interface Watcher {
  show(parts: ReadonlyMap<string, string>): void
  gone(): void
}

/** Figures change every second. */
const intervalMs = 1000

/** Notices in quick succession become one rendering. */
const gatherMs = 80

class Topic {
  readonly watchers = new Set<Watcher>()
  readonly render: () => Promise<LiveView>
  view: LiveView | undefined
  shown = new Map<string, string>()
  running = false
  again = false

  constructor(render: () => Promise<LiveView>) {
    this.render = render
  }
}

/** All topics of this gateway. */
export class LiveHub {
  readonly #topics = new Map<string, Topic>()
  readonly #log: Log
  readonly #stopListening: () => void
  #timer: ReturnType<typeof setInterval> | undefined
  #gathering: ReturnType<typeof setTimeout> | undefined

  constructor(feed: ChangeFeed, log: Log) {
    this.#log = log
    this.#stopListening = feed.listen(() => this.#soon())
  }

  /** Shows `key` to `watcher` until the function returned is called: everything at first, then what changes. */
  watch(key: string, render: () => Promise<LiveView>, watcher: Watcher): () => void {
    const topic = this.#topics.get(key) ?? new Topic(render)
    this.#topics.set(key, topic)
    topic.watchers.add(watcher)
    this.#timer ??= setInterval(() => this.#renderAll(), intervalMs)
    // The page may have been made before the latest rendering, so a newcomer gets everything.
    if (topic.view !== undefined) watcher.show(inPartials(topic.view.whole))
    else void this.#refresh(key, topic)
    return () => {
      topic.watchers.delete(watcher)
      if (topic.watchers.size === 0 && this.#topics.get(key) === topic) this.#topics.delete(key)
      if (this.#topics.size === 0) this.#stopTimer()
    }
  }

  /** How many things are being looked at. */
  get topicCount(): number {
    return this.#topics.size
  }

  /** Ends all watching. The streams are ended by their owner. */
  close(): void {
    this.#stopListening()
    this.#stopTimer()
    this.#topics.clear()
  }

  #stopTimer(): void {
    clearInterval(this.#timer)
    clearTimeout(this.#gathering)
    this.#timer = undefined
    this.#gathering = undefined
  }

  #soon(): void {
    if (this.#topics.size === 0 || this.#gathering !== undefined) return
    this.#gathering = setTimeout(() => {
      this.#gathering = undefined
      this.#renderAll()
    }, gatherMs)
  }

  #renderAll(): void {
    for (const [key, topic] of this.#topics) void this.#refresh(key, topic)
  }

  /** One rendering at a time for each topic; a call meanwhile makes one more afterwards. */
  async #refresh(key: string, topic: Topic): Promise<void> {
    if (topic.running) {
      topic.again = true
      return
    }
    topic.running = true
    try {
      handOut(topic, await topic.render())
    } catch (error) {
      if (error instanceof NotFoundError) for (const watcher of topic.watchers) watcher.gone()
      else this.#log.warn({ topic: key, error: errorMessage(error) }, 'Cannot render a live page')
    } finally {
      topic.running = false
    }
    if (!topic.again) return
    topic.again = false
    if (this.#topics.get(key) === topic) await this.#refresh(key, topic)
  }
}

/** Moments in words go on counting in the browser: `12 s ago` becoming `13 s ago` is no change worth sending. */
function withoutCounting(text: string): string {
  return text.replace(/(<time [^>]*data-relative>)[^<]*/g, '$1')
}

function handOut(topic: Topic, view: LiveView): void {
  const isNewFrame = view.frame !== topic.view?.frame
  const partials = inPartials(view.parts)
  const shown = new Map([...partials].map(([id, text]) => [id, withoutCounting(text)]))
  const changed = isNewFrame
    ? inPartials(view.whole)
    : new Map([...partials].filter(([id]) => topic.shown.get(id) !== shown.get(id)))
  topic.view = view
  topic.shown = shown
  if (changed.size > 0) for (const watcher of topic.watchers) watcher.show(changed)
}

/** Parts as htmx takes them. Morphing keeps focus, scroll position and open menus. */
function inPartials(parts: Parts): Map<string, string> {
  return new Map(
    [...parts].map(([id, part]) => [
      id,
      `<hx-partial hx-target="#${id}" hx-swap="outerMorph">${part.toString()}</hx-partial>`,
    ]),
  )
}
