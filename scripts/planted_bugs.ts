/**
 * The bugs that `scripts/mutations.ts` plants: each is one that somebody could write, and that would lose a block or let a stranger in.
 * @module
 */

/** One bug, and the suite that must notice it. */
export interface PlantedBug {
  name: string
  file: string
  /** Stands in the file exactly once. */
  from: string
  to: string
  tests: readonly string[]
  /** Sizes that are enough for this bug. */
  env?: Readonly<Record<string, string>>
}

const model = { tests: ['test/integration/data_plane/model_test.ts'], env: { SCHEDULES: '150' } }
const crash = { tests: ['test/unit/replicator/volume_crash_test.ts'] }
const tracking = { tests: ['test/unit/agent/track_model_test.ts'] }
const discards = { tests: ['test/unit/agent/discards_under_way_test.ts'] }
const reboots = { tests: ['test/unit/agent/reboot_model_test.ts'], env: { SCHEDULES: '100' } }
const refusals = { tests: ['test/integration/replicator/refusals_test.ts'] }

/** All of them. */
export const plantedBugs: readonly PlantedBug[] = [
  {
    name: 'skip-flush',
    file: 'replicator/volume_durability.ts',
    from: '      await this.#options.parts.data.flush()\n    } catch',
    to: '      await Promise.resolve()\n    } catch',
    ...crash,
  },
  {
    name: 'skip-flush-in-file',
    file: 'replicator/file_disk.ts',
    from: '    await this.#handle.datasync()\n',
    to: '    await this.#handle.stat()\n',
    tests: ['test/integration/replicator/system_calls_test.ts'],
  },
  {
    name: 'acknowledge-before-write',
    file: 'replicator/session_write.ts',
    from: '  const work = async (): Promise<void> => {\n    try {\n',
    to: '  const work = async (): Promise<void> => {\n    onDurable()\n    try {\n',
    ...model,
  },
  {
    name: 'acknowledge-before-flush',
    file: 'replicator/session_write.ts',
    from: '    await volume.durable()\n    onDurable()\n',
    to: '    onDurable()\n    await volume.durable()\n',
    ...model,
  },
  {
    name: 'acknowledge-out-of-order',
    file: 'replicator/ack_window.ts',
    from: '      if (!pending.isDurable) break\n',
    to: '',
    ...model,
  },
  {
    name: 'dirty-range-one-short',
    file: 'agent/sync/dirty_map.ts',
    from: 'const end = Math.min(this.blockCount, firstBlock + blockCount)',
    to: 'const end = Math.min(this.blockCount, firstBlock + Math.max(1, blockCount - 1))',
    ...model,
  },
  {
    name: 'block-edge-of-a-write',
    file: 'agent/sync/change_map.ts',
    from: 'Math.ceil((firstSector + sectorCount) / sectorsPerPiece)',
    to: 'Math.max(first + 1, Math.floor((firstSector + sectorCount) / sectorsPerPiece))',
    ...model,
  },
  {
    name: 'ignore-loss',
    file: 'agent/sync/session.ts',
    from: '      disk.loseCertainty(this.#context.clock.monotonicMs())\n      return false\n',
    to: '      if (disk.scan === undefined) return true\n      disk.loseCertainty(this.#context.clock.monotonicMs())\n      return false\n',
    ...model,
  },
  {
    name: 'clear-after-read',
    file: 'agent/sync/reader.ts',
    from: '    disk.markReadable(extent)\n    await use',
    to: '    disk.dirty.clear(extent.firstBlock, extent.blockCount)\n    disk.markReadable(extent)\n    await use',
    // The engine asks the trackers between its sweeps, so that no mark comes while it reads: only the reader's own test sees the order.
    tests: ['test/unit/agent/reader_test.ts'],
  },
  {
    name: 'forget-unacknowledged',
    file: 'agent/sync/visit.ts',
    from: '      disk?.dirty.mark(extent.firstBlock, extent.blockCount)\n',
    to: '      void [disk, extent]\n',
    ...model,
  },
  {
    name: 'forget-what-was-in-hand',
    file: 'agent/sync/reader.ts',
    from: '      disk.dirty.mark(extent.firstBlock, extent.blockCount)\n      throw error\n',
    to: '      throw error\n',
    ...model,
  },
  {
    name: 'index-before-mark',
    file: 'replicator/volume.ts',
    from: '        const [raw] = await allDone([verifiedBytes(message, this), marked, ready])\n',
    to: '        const [raw] = await allDone([verifiedBytes(message, this), ready])\n        void marked\n',
    ...crash,
  },
  {
    name: 'believe-active-segments',
    file: 'replicator/volume_recovery.ts',
    from: '    await index.forget(first, count)\n  }\n  if (',
    to: '    void [first, count]\n  }\n  if (',
    ...crash,
  },
  {
    name: 'clean-up-while-writing',
    file: 'replicator/activity_log.ts',
    from: '      if (this.#touched.has(segment) || this.#writing.has(segment)) continue\n',
    to: '',
    ...crash,
  },
  {
    name: 'blank-zeros-after-a-cut-step',
    file: 'agent/sync/scanner.ts',
    from: 'const isBlank = piece.firstBlock >= scan.attemptedEnd',
    to: 'const isBlank = piece.firstBlock >= 0',
    tests: ['test/unit/agent/scanner_test.ts'],
  },
  {
    name: 'count-before-mark',
    file: 'agent/tracking/kept_tracking.ts',
    from: '      for (const file of files) file?.flush()\n      this.#record?.write(trace.state, trace.devices)\n',
    to: '      this.#record?.write(trace.state, trace.devices)\n      for (const file of files) file?.flush()\n',
    ...tracking,
  },
  {
    name: 'ignore-a-foreign-reader',
    file: 'agent/tracking/trace_instance.ts',
    from: '  if (now.read > before.records) return',
    to: '  if (now.read > Number.MAX_SAFE_INTEGER) return',
    tests: ['test/integration/agent/trace_instance_test.ts'],
  },
  {
    name: 'look-beside-a-change',
    file: 'agent/tracking/trace_instance.ts',
    from: '    return this.#turns.run(() => this.#setDevicesNow(devices))\n',
    to: '    return this.#setDevicesNow(devices)\n',
    tests: ['test/integration/agent/trace_instance_test.ts'],
  },
  {
    name: 'mark-discards-only-when-queued',
    file: 'agent/tracking/discards_under_way.ts',
    from: '    this.#hasEnded = true\n',
    to: '',
    ...discards,
  },
  {
    name: 'believe-sums-at-once',
    file: 'agent/tracking/discards_under_way.ts',
    from: '      if (events !== this.#events) return\n',
    to: '',
    ...discards,
  },
  {
    name: 'take-a-discard-for-one-range',
    file: 'agent/tracking/subscriptions.ts',
    from: 'if (device.mergesDiscards !== true) return undefined',
    to: 'if (device.mergesDiscards !== undefined) return undefined',
    ...tracking,
  },
  {
    name: 'go-on-with-any-copy',
    file: 'agent/sync/track_keeper.ts',
    from: 'if (state.copyId !== copyId || (',
    to: 'if (state.copyId.length === 0 || (',
    ...tracking,
  },
  {
    name: 'go-on-with-another-size',
    file: 'agent/tracking/subscriptions.ts',
    from: "  if (header.sizeBytes !== disk.sizeBytes) return 'its size has changed'\n",
    to: '',
    tests: ['test/unit/agent/tracking_parts_test.ts'],
  },
  {
    name: 'forget-what-is-on-its-way',
    file: 'agent/sync/track_keeper.ts',
    from: '  for (const extent of onTheWay) if (extent.diskIndex === disk.diskIndex) yield extent\n',
    to: '  void onTheWay\n',
    ...tracking,
  },
  {
    name: 'write-past-the-gate',
    file: 'replicator/session.ts',
    from: 'return hold.gate.obstacle ?? this.#options.pool.obstacle',
    to: 'return this.#options.pool.obstacle',
    ...model,
  },
  {
    name: 'skip-hash-check',
    file: 'replicator/block_hashes.ts',
    from: '    if (equalHashes(actual, expected)) continue\n',
    to: '    if (actual.length === expected.length) continue\n',
    tests: ['test/unit/replicator/volume_test.ts'],
  },
  {
    name: 'accept-any-authority',
    file: 'replicator/peer.ts',
    from: '  if (!socket.authorized) {\n',
    to: '  if (!socket.authorized && certificate.subject.length === 0) {\n',
    ...refusals,
  },
  {
    name: 'accept-any-serial',
    file: 'replicator/assignment.ts',
    from: 'if (assignment.certificateSerials.some((serial) => normalSerial(serial) === peer.serial)) return\n',
    to: 'if (assignment.certificateSerials.some((serial) => normalSerial(serial) !== "")) return\n',
    ...refusals,
  },
  {
    name: 'serve-a-stale-run',
    file: 'replicator/members.ts',
    from: 'if (hello.generation >= generation) return\n',
    to: 'if (hello.generation >= 0 * generation) return\n',
    tests: ['test/integration/replicator/served_server_test.ts'],
  },
  {
    name: 'trust-the-announced-length',
    file: 'wire/frame_header.ts',
    from: '  if (payloadLength > limit.maxPayloadBytes) {\n',
    to: '  if (payloadLength > 2 ** 32) {\n',
    tests: ['test/unit/wire/frame_fuzz_test.ts'],
    env: { FRAMES: '50000' },
  },
  {
    name: 'change-connections-too-early',
    file: 'agent/sync/lanes.ts',
    from: '      await this.allAcknowledged()\n      if (this.#connections.every((connection) => connection.isIdle)) this.#change(wanted - count)\n',
    to: '      this.#change(wanted - count)\n',
    ...model,
  },
  {
    name: 'ask-beside-writes',
    file: 'agent/sync/lanes.ts',
    from: '      if (busy === undefined) return own\n      await busy.allAcknowledged()\n',
    to: '      if (busy !== own) return own\n',
    tests: ['test/unit/agent/lanes_test.ts'],
  },
  {
    name: 'believe-any-start',
    file: 'agent/reboot/boot_loader.ts',
    from: '  if (!tokens.includes(`${tokenParameter}${token}`))\n',
    to: '  if (tokens.includes(tokenParameter))\n',
    ...reboots,
  },
  {
    name: 'believe-words-that-were-kept',
    file: 'agent/reboot/boot_loader.ts',
    from: '  if (facts.tokenGiven !== token) return',
    to: '  if (facts.tokenGiven === undefined) return',
    ...reboots,
  },
  {
    name: 'forget-what-the-boot-loader-writes',
    file: 'agent/reboot/reboot_keeper.ts',
    from: '        ...(loaderFile.lastingId === sealed.lastingId ? [loaderFile] : []),\n',
    to: '',
    ...reboots,
  },
  {
    name: 'believe-a-record-of-another-run',
    file: 'agent/reboot/reboot_keeper.ts',
    from: '    if (record.generation !== generation - 1)\n',
    to: '    if (record.generation >= generation)\n',
    ...reboots,
  },
  {
    name: 'seal-without-a-last-look',
    file: 'agent/reboot/sealer.ts',
    from: '    if (JSON.stringify(await look()) === before) return record\n',
    to: '    if (JSON.stringify(record) === before) return record\n',
    ...reboots,
  },
  {
    name: 'seal-beside-a-crash-kernel',
    file: 'agent/reboot/quiet_machine.ts',
    from: "    if (loaded !== undefined && loaded !== '0') return reason\n",
    to: "    if (name === 'kexec_loaded' && loaded === '1') return reason\n",
    tests: ['test/unit/agent/reboot_parts_test.ts'],
  },
  {
    name: 'believe-a-boot-trace-with-holes',
    file: 'agent/reboot/boot_buffer.ts',
    from: '        if (!((traced.get(key) ?? 0) >= sectors))\n',
    to: '        if (!((traced.get(key) ?? 0) >= 0 * sectors))\n',
    tests: ['test/integration/agent/reboot_test.ts'],
  },
  {
    name: 'take-a-block-written-in-pieces-for-known',
    file: 'agent/sync/sender.ts',
    from: '      this.#known.forget({ diskIndex, firstBlock: Math.floor(piece / piecesPerBlock), blockCount: 1 })\n',
    to: '      void piece\n',
    tests: ['test/unit/agent/sender_test.ts'],
  },
  {
    name: 'take-a-damaged-block-for-known',
    file: 'agent/sync/sender.ts',
    from: '    for (const extent of damaged) this.#known.forget(extent)\n',
    to: '',
    tests: ['test/unit/agent/sender_test.ts'],
  },
  {
    name: 'keep-what-was-known-first',
    file: 'agent/sync/known_blocks.ts',
    from: '    own.set(hash)\n',
    to: '    if (this.#keys[place] !== key) own.set(hash)\n',
    tests: ['test/unit/agent/sender_test.ts'],
  },
]
