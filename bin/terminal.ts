/**
 * What commands print. Much of it was said by others: an agent names its error, a machine its host name, a receiver its answer. None of that may move
 * the cursor, recolour or rewrite what stands on the terminal, or put text into the clipboard of whoever looks.
 * @module
 */

/** Characters that terminals obey: C0 but tab and line feed, delete, C1, and those that turn the direction of writing. */
// oxlint-disable-next-line no-control-regex
const obeyed = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g
const lineEnd = /[\n\u2028\u2029]/g

/** As JSON writes them, so that JSON that is printed still says the same. */
function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** `text` with what terminals obey written out. */
export function visible(text: string): string {
  return text.replace(obeyed, escaped)
}

/** The same on one line: what others said cannot begin a line that looks like one of ours. */
export function visibleLine(text: string): string {
  return visible(text).replace(lineEnd, escaped)
}

/** Prints what was asked for. */
export function say(text: string): void {
  console.log(visible(text))
}

/** Prints what is no answer: what goes wrong, and what is waited for. */
export function remark(text: string): void {
  console.error(visible(text))
}
