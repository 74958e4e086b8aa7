/**
 * Bitmaps of blocks as they cross the wire: least significant bit first.
 * @module
 */

/** Whether the bit at `index` is set; what lies behind the end is not. */
export function hasBit(bitmap: Uint8Array, index: number): boolean {
  return (((bitmap[index >>> 3] ?? 0) >>> (index & 7)) & 1) === 1
}
