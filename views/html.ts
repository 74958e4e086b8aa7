/**
 * HTML as tagged templates. Whatever is put in is escaped, unless it is HTML made here.
 * @module
 */
import { html as template, raw } from 'hono/html'

/** A piece of HTML, safe to put into another. */
export type Html = ReturnType<typeof raw>

/** What may stand in a template: strings are escaped; `false`, `null` and `undefined` show nothing. */
export type HtmlValue = Html | string | number | boolean | null | undefined | readonly HtmlValue[]

/** Makes HTML. Values are escaped in text and in double-quoted attributes. */
export function html(strings: TemplateStringsArray, ...values: HtmlValue[]): Html {
  const made = template(strings, ...values)
  // Only promises among the values could make it one, and the type above lets none in.
  if (made instanceof Promise) throw new TypeError('A view was given a promise; await it before rendering')
  return made
}

/** Nothing at all. */
export const nothing: Html = raw('')

/** Marks text written here, never by a user, as HTML. */
export function trusted(text: string): Html {
  return raw(text)
}
