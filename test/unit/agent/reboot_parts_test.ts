import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SystemFiles } from '../../../agent/inventory/system_files.ts'
import { addBootTrace, bootTraceRemovalCommand, grubScript } from '../../../agent/install/boot_trace.ts'
import { BootBuffer, changedSectors } from '../../../agent/reboot/boot_buffer.ts'
import { isTracedFromBoot, refusalOfBoot } from '../../../agent/reboot/boot_loader.ts'
import { diskUnder, parseFilefrag } from '../../../agent/reboot/file_places.ts'
import { stillWriting } from '../../../agent/reboot/quiet_machine.ts'
import { RebootKeeper } from '../../../agent/reboot/reboot_keeper.ts'
import {
  decodeSeal,
  encodeSeal,
  extentsOf,
  runsOf,
  sealPageBytes,
} from '../../../agent/reboot/sealed_record.ts'

const token = '0123456789abcdef'
const nonce = 'ab'.repeat(16)

describe('refusalOfBoot()', () => {
  const facts = {
    commandLine: `ro trace_event=block:block_rq_complete rehost.boot=${token}`,
    loaderType: 0x72,
    isCrashKernel: false,
    tokenLeft: '',
    tokenGiven: token,
  }

  it('believes the kernel that was given the token', () => {
    expect(refusalOfBoot(facts, token)).toBeUndefined()
    expect(refusalOfBoot({ ...facts, tokenLeft: undefined }, token)).toBeUndefined()
  })

  it.each([
    ['another token', { commandLine: 'rehost.boot=fedcba9876543210' }, /no other system was started/],
    ['no token', { commandLine: 'ro quiet' }, /no other system was started/],
    ['a part of it', { commandLine: `rehost.boot=${token}0` }, /no other system was started/],
    ['a boot loader that did not forget', { tokenLeft: token }, /cannot forget/],
    ['words of an earlier kernel that were kept', { tokenGiven: '' }, /at work once more/],
    ['a boot loader that cannot be asked', { tokenGiven: undefined }, /at work once more/],
    ['a start after a crash', { isCrashKernel: true }, /after a crash/],
    ['a start by kexec', { loaderType: 0xd0 }, /by another kernel/],
    ['a start by nobody knows whom', { loaderType: undefined }, /by another kernel/],
  ])('refuses %s', (_what, other, reason) => {
    expect(refusalOfBoot({ ...facts, ...other }, token)).toMatch(reason)
  })

  it('knows the parameter that traces, and no other beside it', () => {
    expect(isTracedFromBoot(facts.commandLine)).toBe(true)
    expect(isTracedFromBoot('quiet')).toBe(false)
    expect(isTracedFromBoot(`${facts.commandLine} trace_event=sched:sched_switch`)).toBe(false)
    expect(isTracedFromBoot('trace_event=block:block_rq_complete,sched:sched_switch')).toBe(false)
  })
})

describe('parseFilefrag()', () => {
  const head = `Filesystem type is: ef53
File size of /f is 1048576 (2048 blocks of 512 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:\n`

  it('answers every part with its place', () => {
    const text = `${head}   0:        0..    1023:     278528..    279551:   1024:
   1:     1024..    2047:     300000..    301023:   1024:     279552: last,eof
/f: 2 extents found`
    expect(parseFilefrag(text)).toEqual([
      { fileByte: 0, deviceByte: 278_528 * 512, bytes: 524_288 },
      { fileByte: 524_288, deviceByte: 300_000 * 512, bytes: 524_288 },
    ])
  })

  it.each(['inline', 'unwritten', 'last,shared,eof', 'encoded', 'delalloc', 'unknown_loc'])(
    'refuses %s',
    (flag) => {
      const line = `   0:        0..    2047:     278528..    280575:   2048:             ${flag}`
      expect(() => parseFilefrag(`${head}${line}`)).toThrow(`keeps it in another way (${flag})`)
    },
  )
})

describe('the record of a shutdown', () => {
  const record = {
    bootId: 'one',
    generation: 3,
    token,
    loaderFile: { lastingId: 'disk 1', firstSector: 4096, sectorCount: 8 },
    disks: [],
  }

  it('comes back as it was sealed, and is nothing before', () => {
    expect(decodeSeal(encodeSeal(nonce, undefined))).toBeUndefined()
    expect(decodeSeal(encodeSeal(nonce, record))).toEqual(record)
  })

  it('is not believed when a page of it is another writing’s, or damaged', () => {
    const whole = encodeSeal(nonce, record)
    const other = encodeSeal(nonce, { ...record, generation: 4 })
    const torn = Buffer.concat([whole.subarray(0, 9 * sealPageBytes), other.subarray(9 * sealPageBytes)])
    expect(() => decodeSeal(torn)).toThrow('it was not written to its end')
    const damaged = Buffer.from(whole)
    damaged.writeUInt8(damaged.readUInt8(130) ^ 1, 130)
    expect(() => decodeSeal(damaged)).toThrow('it is damaged')
    expect(() => decodeSeal(Buffer.alloc(0))).toThrow('it was not written to its end')
  })

  it('keeps marks, those of neighbours as one', () => {
    const marks = [
      { firstBlock: 0, blockCount: 2 },
      { firstBlock: 2, blockCount: 1 },
      { firstBlock: 90, blockCount: 7 },
    ]
    expect([...extentsOf(runsOf(marks))]).toEqual([
      { firstBlock: 0, blockCount: 3 },
      { firstBlock: 90, blockCount: 7 },
    ])
    expect(() => runsOf([...marks, { firstBlock: 5, blockCount: 1 }])).toThrow('block 5')
  })
})

it('counts sectors written and discarded, also where discards are not counted', () => {
  expect(changedSectors('10 1 80 5 20 2 160 6 0 7 8 3 0 24 1 4 9')).toBe(184)
  expect(changedSectors('10 1 80 5 20 2 160 6 0 7 8')).toBe(160)
  expect(changedSectors('')).toBeNaN()
})

it.each(['md0', 'md_home', 'md_d0', 'dm-1'])(
  'finds no disk under %s, which is made of others',
  async (name) => {
    const files: SystemFiles = {
      readText: () => Promise.resolve(undefined),
      list: () => Promise.resolve([]),
      realPath: () => Promise.resolve(`/sys/devices/virtual/block/${name}`),
      facts: () => Promise.resolve(undefined),
      inode: () => Promise.resolve(undefined),
    }
    expect(await diskUnder(files, '9:0')).toBeUndefined()
  },
)

describe('the end of the trace since the kernel’s start', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rehost-boot-'))
    mkdirSync(join(folder, 'events/block/block_rq_complete'), { recursive: true })
  })
  afterEach(() => {
    rmSync(folder, { recursive: true })
  })

  const event = () => join(folder, 'events/block/block_rq_complete/enable')
  const trace = (kib: string): void => {
    writeFileSync(event(), '1\n')
    writeFileSync(join(folder, 'buffer_size_kb'), kib)
  }
  const state = () =>
    [event(), join(folder, 'buffer_size_kb')].map((path) => readFileSync(path, 'utf8').trim())
  const buffer = () => new BootBuffer(folder, folder, join(folder, 'run/ended'))

  it('comes once in a boot: what is traced later is somebody else’s', async () => {
    trace('8192')
    await buffer().release()
    expect(state()).toEqual(['0', '1408'])
    trace('99999')
    await buffer().release()
    const unread = { changed: () => expect.unreachable(), lost: () => expect.unreachable() }
    expect(await buffer().read([], unread)).toContain('was ended before')
    expect(state()).toEqual(['1', '99999'])
  })

  it.each([
    ['was told to trace', 'ro trace_event=block:block_rq_complete', ['0', '1408']],
    ['was not', 'ro quiet', ['1', '8192']],
    ['was told something else too', 'trace_event=block:block_rq_complete,sched:sched_switch', ['1', '8192']],
  ])('comes where the kernel %s', async (_what, commandLine, left) => {
    trace('8192')
    const facts = { loaderType: 0x72, isCrashKernel: false, tokenLeft: '', tokenGiven: '' }
    const begun: string[] = []
    const keeper = new RebootKeeper({
      bootId: 'one',
      generation: 1,
      seal: {
        read: () => Promise.resolve(undefined),
        prepare: () => {
          begun.push('used up')
          return Promise.resolve({ nonce, device: '8:0', parts: [] })
        },
      },
      loader: { facts: () => Promise.resolve({ ...facts, commandLine }), arm: () => Promise.resolve() },
      buffer: buffer(),
      disks: () => Promise.resolve([]),
      newToken: () => token,
      plan: () => undefined,
      warn: (message) => expect.unreachable(message),
    })
    expect(await keeper.claim()).toContain('was not shut down cleanly')
    // The claim has begun, which is done once.
    await keeper.begin()
    expect(begun).toEqual(['used up'])
    await keeper.release()
    expect(state()).toEqual(left)
  })
})

describe('stillWriting()', () => {
  const quiet: Record<string, string> = {
    '/proc/swaps': 'Filename Type Size Used Priority',
    '/proc/self/mountinfo': `22 1 8:1 / / ro,relatime - ext4 /dev/sda1 ro
23 22 0:21 / /proc rw - proc proc rw
24 22 0:22 / /run rw - tmpfs tmpfs rw,size=1k`,
    '/sys/block/sda/size': '100',
    '/sys/kernel/kexec_loaded': '0',
    '/sys/kernel/kexec_crash_loaded': '0',
  }
  const folders: Record<string, string[]> = {
    '/sys/block': ['sda'],
    '/sys/class/block': ['sda', 'sda1'],
    '/sys/fs/ext4': ['features', 'sda1'],
    '/sys/fs/btrfs': ['features'],
    '/proc/spl/kstat/zfs': ['arcstats'],
  }

  function ask(
    texts: Record<string, string>,
    lists: Record<string, string[]> = {},
    table = '',
    links: Record<string, string> = {},
  ): Promise<string | undefined> {
    const files: SystemFiles = {
      readText: (path) => Promise.resolve({ ...quiet, ...texts }[path]),
      list: (path) => Promise.resolve({ ...folders, ...lists }[path] ?? []),
      realPath: (path) =>
        Promise.resolve(path === '/sys/dev/block/8:1' ? '/sys/devices/sda/sda1' : links[path]),
      facts: () => Promise.resolve(undefined),
      inode: () => Promise.resolve(undefined),
    }
    return stillWriting(files, () => Promise.resolve(table))
  }

  it('finds nothing on a machine whose file systems are read-only', async () => {
    expect(await ask({})).toBeUndefined()
    expect(
      await ask(
        {},
        { '/sys/block': ['dm-0', 'sda'] },
        'root: 0 80 linear 8:1 0\nhome: 0 80 crypt aes 0 8:1 0',
      ),
    ).toBeUndefined()
  })

  const hooks = '/usr/lib/systemd/system-shutdown'
  const hook = (text: string, links: Record<string, string> = {}) =>
    ask({ [`${hooks}/other`]: text }, { [hooks]: ['other'] }, '', links)

  it('knows programs that run beside it and write nothing, by what they say', async () => {
    const own = `${hooks}/rehost-agent`
    const links = { [own]: own, '/lib/systemd/system-shutdown/rehost-agent': own }
    const lists = { [hooks]: ['rehost-agent'], '/lib/systemd/system-shutdown': ['rehost-agent'] }
    expect(await ask({}, lists, '', links)).toBeUndefined()
    expect(await hook('')).toBeUndefined()
    expect(await hook('#!/bin/sh\n# Waits.\n/sbin/mdadm --wait-clean --scan')).toBeUndefined()
    const firmware =
      '#!/bin/sh\n\n# none\n[ -f /var/lib/fwupd/pending.db ] || exit 0\n/usr/bin/fwupdtool activate'
    expect(await hook(firmware)).toBeUndefined()
    const isUpdated = { '/var/lib/fwupd/pending.db': '/var/lib/fwupd/pending.db' }
    expect(await hook(firmware, isUpdated)).toMatch(/may write/)
  })

  const mounted = quiet['/proc/self/mountinfo'] ?? ''
  it.each<[string, Parameters<typeof ask>, RegExp]>([
    ['swap', [{ '/proc/swaps': 'Filename Type\n/dev/sda2 partition 1 0 -2' }], /swap is on/],
    [
      'a file system that is read-only for one mount alone',
      [{ '/proc/self/mountinfo': mounted.replace('/dev/sda1 ro', '/dev/sda1 rw') }],
      /^\/ \(ext4\) can still be written to/,
    ],
    [
      'an overlay',
      [{ '/proc/self/mountinfo': `${mounted}\n30 22 0:40 / /x rw - overlay o rw` }],
      /\/x \(overlay\)/,
    ],
    [
      'a file system that lives on',
      [{}, { '/sys/class/block': ['sda', 'sda1', 'sda2'], '/sys/fs/ext4': ['sda1', 'sda2'] }],
      /the ext4 of sda2 is unmounted and still in use/,
    ],
    [
      'a btrfs without a mount',
      [{}, { '/sys/fs/btrfs': ['features', '6b0f1d2c-3ab1-4d7e-9f53-0a4c5d6e7f80'] }],
      /the btrfs 6b0f1d2c-\S+ is in use/,
    ],
    [
      'a pool of ZFS without a mount',
      [{ '/proc/spl/kstat/zfs/tank/state': 'ONLINE' }, { '/proc/spl/kstat/zfs': ['arcstats', 'tank'] }],
      /the ZFS pool tank is in use/,
    ],
    ['RAID', [{ '/sys/block/md0/size': '7' }, { '/sys/block': ['md0'] }], /md0 may write/],
    ['RAID with a name', [{ '/sys/block/md_d0/size': '7' }, { '/sys/block': ['md_d0'] }], /md_d0 may write/],
    ['a kernel for kexec', [{ '/sys/kernel/kexec_loaded': '1' }], /without the boot loader/],
    ['a kernel for crashes', [{ '/sys/kernel/kexec_crash_loaded': '1' }], /writes a dump/],
    [
      'a recipe for debugging',
      [
        { '/lib/systemd/system-shutdown/debug.sh': '#!/bin/sh\nmount -o remount,rw /\ndmesg > /log' },
        { '/lib/systemd/system-shutdown': ['debug.sh'] },
      ],
      /^\/lib\/systemd\/system-shutdown\/debug\.sh runs at the same time/,
    ],
    [
      'more than mdadm’s program',
      [
        { '/etc/systemd/system-shutdown/mdadm.shutdown': '#!/bin/sh\n/sbin/mdadm --wait-clean --scan\nsync' },
        { '/etc/systemd/system-shutdown': ['mdadm.shutdown'] },
      ],
      /mdadm\.shutdown runs at the same time/,
    ],
    [
      'a program that nobody can read',
      [{}, { '/usr/lib/systemd/system-shutdown': ['binary'] }],
      /binary runs at the same time/,
    ],
    [
      'thin volumes',
      [{}, { '/sys/block': ['dm-0'] }, 'pool: 0 80 thin-pool 8:1 8:2 1 0'],
      /pool \(thin-pool\)/,
    ],
    ['a mapping that nobody can read', [{}, { '/sys/block': ['dm-0'] }, 'What is this'], /may write/],
    ['disks of others', [{}, { '/sys/kernel/config/target/core': ['alua', 'iblock_0'] }], /given to others/],
  ])('finds %s', async (_what, args, reason) => {
    expect(await ask(...args)).toMatch(reason)
  })
})

describe('the installation of a trace from boot', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rehost-boot-'))
  })
  afterEach(() => {
    rmSync(folder, { recursive: true })
  })

  const paths = () => ({
    shutdownHook: join(folder, 'system-shutdown/rehost-agent'),
    grubScript: join(folder, 'grub.d/01_rehost'),
    grubDefaults: join(folder, 'default/rehost-agent.cfg'),
  })

  async function add(programs: readonly string[]): Promise<{ ran: string[]; said: string[] }> {
    const ran: string[] = []
    const said: string[] = []
    await addBootTrace({
      program: '/opt/rehost/rehost-agent',
      ringKb: 4096,
      files: {
        readText: () => Promise.resolve(undefined),
        list: () => Promise.resolve([]),
        realPath: (path) => Promise.resolve(path === '/etc/grub2.cfg' ? '/boot/grub2/grub.cfg' : undefined),
        facts: () => Promise.resolve(undefined),
        inode: () => Promise.resolve(undefined),
      },
      run: (program, args) => {
        const asked = /^command -v (\S+)$/.exec(args.at(-1) ?? '')?.[1]
        if (asked !== undefined && !programs.includes(asked)) return Promise.reject(new Error('not there'))
        if (asked === undefined) ran.push([program, ...args].join(' '))
        return Promise.resolve('')
      },
      say: (line) => said.push(line),
      paths: paths(),
    })
    return { ran, said }
  }

  it('gives a Debian system the parameters, with GRUB’s variable as it is', async () => {
    expect((await add(['update-grub'])).ran).toEqual(['update-grub'])
    const line = `GRUB_CMDLINE_LINUX=quiet; . ${join(folder, 'default/rehost-agent.cfg')}; echo "$GRUB_CMDLINE_LINUX"`
    expect(execFileSync('sh', ['-c', line], { encoding: 'utf8' })).toBe(
      'quiet trace_event=block:block_rq_complete trace_buf_size=4096K $rehost_boot\n',
    )
    const hook = join(folder, 'system-shutdown/rehost-agent')
    expect(readFileSync(hook, 'utf8')).toContain('exec /opt/rehost/rehost-agent seal --at "$1" >/dev/kmsg')
    expect(statSync(hook).mode & 0o777).toBe(0o755)
    expect(readFileSync(join(folder, 'grub.d/01_rehost'), 'utf8')).toBe(grubScript)
  })

  it('uses grubby where there is no update-grub, and says what to do by hand where there is neither', async () => {
    expect((await add(['grubby'])).ran).toEqual([
      'grubby --update-kernel=ALL --args=trace_event=block:block_rq_complete trace_buf_size=4096K $rehost_boot',
      'grub2-mkconfig -o /boot/grub2/grub.cfg',
    ])
    const { ran, said } = await add([])
    expect(ran).toEqual([])
    expect(said.join('\n')).toContain('trace_event=block:block_rq_complete trace_buf_size=4096K $rehost_boot')
  })

  it('has GRUB give the token to a kernel only once it is erased', () => {
    const script = join(folder, 'script')
    writeFileSync(script, grubScript)
    const text = execFileSync('sh', [script], { encoding: 'utf8' })
    expect(text.split('\n').map((line) => line.trim())).toEqual([
      'set rehost_boot=',
      'if [ -n "${rehost_token}${rehost_given}" ]; then',
      'set rehost_given="${rehost_token}"',
      'set rehost_token=',
      'if save_env rehost_token rehost_given; then',
      'set rehost_token=unread',
      'load_env rehost_token',
      'if [ -n "${rehost_given}" -a -z "${rehost_token}" ]; then',
      'set rehost_boot="rehost.boot=${rehost_given}"',
      'fi',
      'fi',
      'fi',
      'export rehost_boot',
      '',
    ])
  })

  it('is taken away by a command, which can be run again where GRUB’s configuration could not be made anew', async () => {
    await add(['update-grub'])
    const files = Object.values(paths())
    const remove = (status: number): void => {
      writeFileSync(
        join(folder, 'update-grub'),
        `#!/bin/sh\necho asked >> ${folder}/asked\nexit ${status}\n`,
        {
          mode: 0o755,
        },
      )
      const env = { PATH: `${folder}:/usr/bin:/bin` }
      execFileSync('sh', ['-c', bootTraceRemovalCommand(paths(), [join(folder, 'none')])], { env })
    }
    expect(() => remove(3)).toThrow('Command failed')
    expect(files.map((path) => existsSync(path))).toEqual([false, true, false])
    // GRUB's tools leave out what is not a program.
    expect(statSync(paths().grubScript).mode & 0o111).toBe(0)
    await add(['update-grub'])
    expect(statSync(paths().grubScript).mode & 0o777).toBe(0o755)
    remove(0)
    expect(files.map((path) => existsSync(path))).toEqual([false, false, false])
    remove(0)
    expect(readFileSync(join(folder, 'asked'), 'utf8')).toBe('asked\nasked\n')
  })
})
