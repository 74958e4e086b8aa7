/**
 * The screen of a machine that has none: a blank picture, as a real PNG.
 * @module
 */
import { crc32, deflateSync } from 'node:zlib'

const widthPixels = 720
const heightPixels = 400

/** A black PNG of the size of a text-mode screen. */
export function blankScreen(): Uint8Array {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(widthPixels, 0)
  header.writeUInt32BE(heightPixels, 4)
  // Eight bits of grey, no interlacing: each row is one filter byte and one byte per pixel.
  header.set([8, 0, 0, 0, 0], 8)
  const pixels = Buffer.alloc((widthPixels + 1) * heightPixels)
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(pixels)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const framed = Buffer.alloc(body.length + 8)
  framed.writeUInt32BE(data.length, 0)
  body.copy(framed, 4)
  framed.writeUInt32BE(crc32(body), body.length + 4)
  return framed
}
