/**
 * Icons: small line drawings on a grid of 24, drawn with the colour of the text around them. They carry no meaning alone; a word is always beside.
 * @module
 */
import type { Html } from './html.ts'
import { trusted } from './html.ts'

const shapes = {
  server:
    '<rect x="3" y="4" width="18" height="7" rx="2"/><rect x="3" y="13" width="18" height="7" rx="2"/><path d="M7 7.5h.01M7 16.5h.01M11 7.5h6M11 16.5h6"/>',
  history: '<path d="M4 12a8 8 0 1 0 2.6-5.9"/><path d="M4 4v4.5h4.5M12 8v4.5l3 2"/>',
  settings:
    '<circle cx="12" cy="12" r="3"/><path d="M12 3v2.5M12 18.5V21M3 12h2.5M18.5 12H21M5.6 5.6l1.8 1.8M16.6 16.6l1.8 1.8M18.4 5.6l-1.8 1.8M7.4 16.6l-1.8 1.8"/>',
  plus: '<path d="M12 5v14M5 12h14"/>',
  check: '<path d="m5 12.5 4.5 4.5L19 7.5"/>',
  circleCheck: '<circle cx="12" cy="12" r="9"/><path d="m8 12.3 2.7 2.7L16 9.7"/>',
  circle: '<circle cx="12" cy="12" r="8.5"/>',
  dot: '<circle cx="12" cy="12" r="4" fill="currentColor" stroke="none"/>',
  alert: '<path d="M12 4 2.8 20h18.4z"/><path d="M12 10v4.5M12 17.3h.01"/>',
  info: '<circle cx="12" cy="12" r="9"/><path d="M12 11v5.5M12 7.6h.01"/>',
  cross: '<path d="m6 6 12 12M18 6 6 18"/>',
  circleCross: '<circle cx="12" cy="12" r="9"/><path d="m9 9 6 6M15 9l-6 6"/>',
  play: '<path d="M8 5.5v13l10.5-6.5z"/>',
  pause: '<path d="M8 5v14M16 5v14"/>',
  sync: '<path d="M4 11a8 8 0 0 1 14-4.3L20 9M20 13a8 8 0 0 1-14 4.3L4 15"/><path d="M20 4v5h-5M4 20v-5h5"/>',
  flask:
    '<path d="M9.5 3.5h5M10.5 3.5v6L5 19a1.4 1.4 0 0 0 1.2 2h11.6a1.4 1.4 0 0 0 1.2-2l-5.5-9.5v-6"/><path d="M7.7 15h8.6"/>',
  flag: '<path d="M6 21V4M6 4.5h11.5l-2.3 4 2.3 4H6"/>',
  arrow: '<path d="M5 12h14M13 6l6 6-6 6"/>',
  back: '<path d="M9 14 4 9l5-5"/><path d="M4 9h9.5a6.5 6.5 0 0 1 0 13H11"/>',
  stop: '<rect x="6" y="6" width="12" height="12" rx="2"/>',
  trash: '<path d="M4.5 7h15M10 7V4.5h4V7M6.5 7l1 13h9l1-13M10.5 11v5.5M13.5 11v5.5"/>',
  archive: '<rect x="3.5" y="4.5" width="17" height="4.5" rx="1"/><path d="M5.5 9v10.5h13V9M10 13h4"/>',
  unplug:
    '<path d="m4 20 3.5-3.5M9 10.5 13.5 15M7 12.5l1.5-1.5 4.5 4.5-1.5 1.5a3.2 3.2 0 0 1-4.5-4.5zM17 11.5 12.5 7M20 4l-3.5 3.5M11 8.5 12.5 7a3.2 3.2 0 0 1 4.5 4.5L15.5 13"/>',
  copy: '<rect x="8.5" y="8.5" width="12" height="12" rx="2"/><path d="M15.5 8.5v-3a2 2 0 0 0-2-2h-8a2 2 0 0 0-2 2v8a2 2 0 0 0 2 2h3"/>',
  clock: '<circle cx="12" cy="12" r="9"/><path d="M12 7v5.3l3.3 2"/>',
  disk: '<rect x="3" y="5" width="18" height="14" rx="3"/><path d="M3 13.5h18M7 16.5h.01M10.5 16.5h.01"/>',
  shield:
    '<path d="M12 3.2 5 6v5.5c0 4.5 3 7.6 7 9.3 4-1.7 7-4.8 7-9.3V6z"/><path d="m9 12 2.2 2.2L15.2 10"/>',
  chevron: '<path d="m6 9.5 6 6 6-6"/>',
  external: '<path d="M14 4.5h5.5V10M19.5 4.5 11 13M17 14v5.5H4.5V7H10"/>',
  key: '<circle cx="8" cy="15.5" r="4"/><path d="m11 12.5 8.5-8.5M16 7.5l3 3M14 9.5l1.5 1.5"/>',
  user: '<circle cx="12" cy="8" r="4"/><path d="M4.5 20.5c.8-4 3.7-6 7.5-6s6.7 2 7.5 6"/>',
  signOut: '<path d="M14 4.5H5.5v15H14M10 12h10.5M17 8l4 4-4 4"/>',
  theme:
    '<circle cx="12" cy="12" r="8.5"/><path d="M12 3.5v17a8.5 8.5 0 0 0 0-17z" fill="currentColor" stroke="none"/>',
  terminal: '<rect x="3" y="4.5" width="18" height="15" rx="2"/><path d="m7 9.5 3 2.5-3 2.5M12.5 15H17"/>',
  search: '<circle cx="10.5" cy="10.5" r="6.5"/><path d="m15.5 15.5 5 5"/>',
} as const

/** The name of an icon. */
export type IconName = keyof typeof shapes

/** Draws an icon; hidden from screen readers, which read the word beside it. */
export function icon(name: IconName): Html {
  return trusted(
    `<svg class="icon" viewBox="0 0 24 24" width="16" height="16" fill="none" stroke="currentColor" stroke-width="1.8" ` +
      `stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">${shapes[name]}</svg>`,
  )
}
