/**
 * Pages as the kernel's ring gives them, built by tests.
 * @module
 */

/** What Linux 6.18 says of its pages. */
export const headerPage = `	field: u64 timestamp;	offset:0;	size:8;	signed:0;
	field: local_t commit;	offset:8;	size:8;	signed:1;
	field: int overwrite;	offset:8;	size:1;	signed:1;
	field: char data;	offset:16;	size:4080;	signed:0;
`

/** What Linux 6.18 says of the event. */
export const eventFormat = `name: block_rq_complete
ID: 2107
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:dev_t dev;	offset:8;	size:4;	signed:0;
	field:sector_t sector;	offset:16;	size:8;	signed:0;
	field:unsigned int nr_sector;	offset:24;	size:4;	signed:0;
	field:int error;	offset:28;	size:4;	signed:1;
	field:unsigned short ioprio;	offset:32;	size:2;	signed:0;
	field:char rwbs[10];	offset:34;	size:10;	signed:0;
	field:__data_loc char[] cmd;	offset:44;	size:4;	signed:0;
`

/** What Linux 6.18 says of bios. */
export const queuedFormat = eventFormat
  .replace('block_rq_complete', 'block_bio_queue')
  .replace('ID: 2107', 'ID: 2097')
  .replace(/.*(int error|ioprio|cmd).*\n/g, '')
  .replace('rwbs[10];	offset:34', 'rwbs[10];	offset:28')
export const endedFormat = eventFormat
  .replace('block_rq_complete', 'block_bio_complete')
  .replace('ID: 2107', 'ID: 2100')
  .replace(/.*(ioprio|cmd).*\n/g, '')
  .replace('rwbs[10];	offset:34', 'rwbs[10];	offset:32')

/** The same of Linux 3.10: another number, no priority, shorter kinds. */
export const oldEventFormat = eventFormat
  .replace('ID: 2107', 'ID: 735')
  .replace(/.*ioprio.*\n/, '')
  .replace('rwbs[10];	offset:34;	size:10', 'rwbs[8];	offset:32;	size:8')

/** A completed request. */
export interface TracedRequest {
  device: [major: number, minor: number]
  sector: number
  count: number
  kind: string
  /** Number of the event; default: the right one. */
  id?: number
  /** Length of the command's text. */
  commandBytes?: number
}

const dataOffset = 16

/** A page under construction. */
export class TracePage {
  readonly bytes: Uint8Array
  readonly words: Uint32Array
  readonly #view: DataView
  #end = dataOffset

  constructor() {
    const memory = new ArrayBuffer(4096)
    this.bytes = new Uint8Array(memory)
    this.words = new Uint32Array(memory)
    this.#view = new DataView(memory)
  }

  /** Bytes of records so far. */
  get used(): number {
    return this.#end - dataOffset
  }

  /** Says how much is used; builders do it by themselves. */
  setCommit(used: number, flags = 0): void {
    this.#view.setUint32(8, (used | flags) >>> 0, true)
  }

  event({ device: [major, minor], sector, count, kind, id = 2107, commandBytes = 0 }: TracedRequest): this {
    const data = new DataView(new ArrayBuffer(48 + Math.ceil((commandBytes + 1) / 4) * 4))
    data.setUint16(0, id, true)
    data.setUint32(8, major * 2 ** 20 + minor, true)
    data.setBigUint64(16, BigInt(sector), true)
    data.setUint32(24, count, true)
    for (let index = 0; index < kind.length; index++) data.setUint8(34 + index, kind.charCodeAt(index))
    return this.record(new Uint8Array(data.buffer))
  }

  /** A record with any data, whole words of it. */
  record(data: Uint8Array): this {
    const isLong = data.length > 112
    this.#word(isLong ? 77 << 5 : (77 << 5) | (data.length / 4))
    if (isLong) this.#word(data.length + 4)
    this.bytes.set(data, this.#end)
    this.#end += data.length
    this.setCommit(this.used)
    return this
  }

  /** A discarded record of `bytes` in all. */
  padding(bytes: number): this {
    this.#word((1 << 5) | 29)
    this.#word(bytes - 4)
    this.#end += bytes - 8
    this.setCommit(this.used)
    return this
  }

  /** Padding after which nothing counts. */
  endPadding(): this {
    this.#word(29)
    this.setCommit(this.used)
    return this
  }

  /** A time extend (30) or stamp (31). */
  time(type: 30 | 31): this {
    this.#word((123_456 << 5) | type)
    this.#word(0xffff_ffff)
    this.setCommit(this.used)
    return this
  }

  #word(value: number): void {
    this.#view.setUint32(this.#end, value >>> 0, true)
    this.#end += 4
  }
}
