import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { chmod, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { removeStaleInstances } from '../../../agent/tracking/instance_names.ts'
import { TraceInstance } from '../../../agent/tracking/trace_instance.ts'
import { runFolder } from '../../../agent/tracking/run_folder.ts'
import { traceInstanceName, trackKey } from '../../../agent/tracking/track_folder.ts'
import { makeTestCa } from '../../fixtures/test_ca.ts'
import { until } from '../../fixtures/waiting.ts'
import { makeSparseFile, TestReplicator } from '../replicator/test_replicator.ts'
import { AgentProcess } from './agent_process.ts'
import { FakeAgentGateway } from './fake_agent_gateway.ts'
import { digestOf, isRoot, LoopDisk } from './loop_disk.ts'

const run = promisify(execFile)
const sizeBytes = 32 * 2 ** 20

describe('the agent as a process', () => {
  let folder: string
  let image: string
  let replicator: TestReplicator
  let gateway: FakeAgentGateway
  let url: string
  let agent: AgentProcess | undefined

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rehost-agent-process-'))
    image = join(folder, 'disk.img')
    makeSparseFile(image, sizeBytes)
    await writeFile(image, Buffer.alloc(3_000_000, 'content '), { flag: 'r+' })
    replicator = await TestReplicator.start()
    gateway = new FakeAgentGateway(replicator.ca)
    url = await gateway.start()
    await writeFile(join(folder, 'ca.pem'), replicator.ca.caPem)
  })

  afterEach(async () => {
    agent?.child.kill('SIGKILL')
    await agent?.ended
    agent = undefined
    await gateway.stop()
    await replicator.end()
    rmSync(folder, { recursive: true, force: true })
  })

  const state = () => join(folder, 'state')
  const startAgent = (devices: string, more: string[] = []): AgentProcess => {
    agent = new AgentProcess([
      'run',
      '--gateway-url',
      url,
      '--ca-file',
      join(folder, 'ca.pem'),
      '--state-dir',
      state(),
      '--devices',
      devices,
      ...more,
    ])
    return agent
  }
  const withToken = () => ['--token', gateway.token]

  /** The gateway has raised everything: the agent is to replicate. */
  async function replicate(deviceName: string, size = sizeBytes): Promise<void> {
    await until('it is enrolled', () => Promise.resolve(gateway.serials.length > 0), 20_000, 20)
    makeSparseFile(replicator.volumePath(0), size)
    await replicator.assign(replicator.assignment([size], { certificateSerials: [...gateway.serials] }))
    gateway.desired = {
      ...gateway.desired,
      mode: 'REPLICATE',
      replicator: { replicationServerId: 'i-1', address: '127.0.0.1', port: replicator.listener.port },
      disks: [{ diskIndex: 0, deviceName, stableId: deviceName, volumeId: 'vol-0', sizeBytes: size }],
    }
  }
  const untilState = (wanted: string) =>
    until(`the agent reports ${wanted}`, () => Promise.resolve(gateway.last?.state === wanted), 30_000, 20)

  it('enrols with a token, replicates an image, stops in order, and goes on without a token', async () => {
    const first = startAgent(image, [...withToken(), '--tags', 'team=shop', '--user-provided-id', 'web 1'])
    await replicate(image)
    await untilState('CONTINUOUS')
    expect(gateway.enrolments[0]).toMatchObject({ tags: { team: 'shop' }, userProvidedId: 'web 1' })
    const disks = gateway.enrolments[0]?.sourceProperties.disks ?? []
    expect(disks.filter((disk) => disk.excludedBecause === undefined).map((disk) => disk.deviceName)).toEqual(
      [image],
    )
    expect(statSync(join(state(), 'identity.json')).mode & 0o777).toBe(0o600)
    expect(await digestOf(replicator.volumePath(0))).toBe(await digestOf(image))
    expect(await first.stop()).toBe(0)

    startAgent(image)
    await until('it is heard again', () => Promise.resolve(gateway.last?.generation === 2), 20_000, 20)
    await untilState('CONTINUOUS')
    expect(gateway.last?.disks[0]?.replicatedBytes).toBe(sizeBytes)
    expect(agent?.output).not.toContain(gateway.token)
    expect(agent?.output).not.toContain('PRIVATE KEY')
  })

  it('renews its certificate when told to, and at half of its life', async () => {
    gateway.validityMs = 4000
    startAgent(image, withToken())
    await until('it has renewed by itself', () => Promise.resolve(gateway.renewals >= 1), 20_000, 20)
    gateway.validityMs = 3_600_000
    gateway.desired = { ...gateway.desired, renewCertificate: true }
    const before = gateway.renewals
    await until(
      'it has renewed when told',
      () => Promise.resolve(gateway.renewals > before && !gateway.desired.renewCertificate),
      20_000,
      20,
    )
    const heard = gateway.heartbeats.length
    await until(
      'it speaks with the new one',
      () => Promise.resolve(gateway.heartbeats.length > heard + 1),
      20_000,
      20,
    )
  })

  it('goes away when told to uninstall: says so, removes its state, ends with 0', async () => {
    const own = startAgent(image, withToken())
    await replicate(image)
    await untilState('CONTINUOUS')
    gateway.desired = { ...gateway.desired, mode: 'UNINSTALL' }
    expect(await own.ended).toBe(0)
    expect(gateway.uninstalls).toBe(1)
    expect(existsSync(state())).toBe(false)
  })

  it('ends when a newer run has taken over', async () => {
    const own = startAgent(image, withToken())
    await until('it talks', () => Promise.resolve(gateway.heartbeats.length > 1), 20_000, 20)
    gateway.generation += 1
    expect(await own.ended).toBe(1)
    expect(own.output).toContain('a newer run of this agent has taken over')
  })

  it('survives a gateway that is away for a while, and keeps replicating', async () => {
    startAgent(image, withToken())
    await replicate(image)
    await untilState('CONTINUOUS')
    gateway.refuseWith = 503
    await writeFile(image, Buffer.alloc(500_000, 'changed '), { flag: 'r+' })
    await until(
      'the change is copied',
      async () => (await digestOf(replicator.volumePath(0))) === (await digestOf(image)),
      30_000,
    )
    gateway.refuseWith = undefined
    const heard = gateway.heartbeats.length
    await until('it talks again', () => Promise.resolve(gateway.heartbeats.length > heard), 30_000, 20)
  })

  it.runIf(isRoot)('says in log and dashboard what to do when it may not read the disk', async () => {
    await chmod(folder, 0o777)
    await chmod(image, 0o600)
    const asNobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups', '--', process.execPath]
    const program = join(import.meta.dirname, '../../../agent/main.ts')
    const options = ['--ca-file', join(folder, 'ca.pem'), '--state-dir', state(), '--devices', image]
    agent = new AgentProcess(
      [...asNobody, program, 'run', '--gateway-url', url, ...options, ...withToken()],
      {},
      'setpriv',
    )
    await replicate(image)
    const error = await until('the dashboard is told', () => Promise.resolve(gateway.last?.error), 30_000, 20)
    expect(error.rawError).toContain(`Cannot open ${image} for reading: EACCES`)
    expect(error.whatToDo).toContain('Run the agent as root')
    expect(agent.output).toMatch(/Cannot open .*EACCES.*What to do: Run the agent as root/)
  })

  describe('refuses in a sentence', () => {
    const outputOf = async (own: AgentProcess): Promise<string> => {
      expect(await own.ended).toBe(2)
      return own.output
    }

    it('a file that holds no certificate', async () => {
      await writeFile(join(folder, 'ca.pem'), 'no certificate')
      const output = await outputOf(startAgent(image, withToken()))
      expect(output).toContain(`${join(folder, 'ca.pem')} holds no certificate`)
      expect(output).toContain('ca.crt.pem in its data folder')
    })

    it('a wrong token', async () => {
      const output = await outputOf(startAgent(image, ['--token', 'tok-0123456789abcdef0.wrong']))
      expect(output).toContain('make a new command on the add-server page')
      expect(output).toContain('The installation token is unknown')
      expect(output).not.toContain('    at ')
    })

    it('a device that does not exist', async () => {
      const output = await outputOf(startAgent(join(folder, 'nothing'), withToken()))
      expect(output).toMatch(/Cannot find .*nothing, named in --devices; check the name/)
    })

    it('to run without an enrolment', async () => {
      agent = new AgentProcess(['run', '--state-dir', state(), '--devices', image])
      expect(await outputOf(agent)).toContain('This agent is not enrolled')
    })

    it('an expired certificate', async () => {
      gateway.validityMs = -500
      startAgent(image, withToken())
      await until(
        'it is enrolled',
        () => Promise.resolve(existsSync(join(state(), 'identity.json'))),
        20_000,
        20,
      )
      agent?.child.kill('SIGKILL')
      await agent?.ended
      expect(await outputOf(startAgent(image))).toContain('The certificate of this agent has expired')
    })
  })

  it('says which gateway it cannot reach and that something else answers there', async () => {
    const other = await makeTestCa()
    await writeFile(join(folder, 'ca.pem'), other.caPem)
    const own = startAgent(image, withToken())
    expect(await own.ended).toBe(1)
    expect(own.output).toMatch(
      /Cannot reach the gateway at 127.0.0.1 port \d+: its certificate is not from the CA that this agent trusts/,
    )
    await gateway.stop()
    const late = startAgent(image, withToken())
    expect(await late.ended).toBe(1)
    expect(late.output).toContain('nothing listens there')
  })

  describe.runIf(isRoot)('with a frozen file system', () => {
    let disk: LoopDisk

    beforeEach(async () => {
      disk = await LoopDisk.make(32)
      await disk.mount()
    })

    afterEach(async () => {
      agent?.child.kill('SIGKILL')
      await agent?.ended
      // What a killed agent leaves in the kernel, the next one removes.
      await removeStaleInstances()
      const key = trackKey(state())
      await TraceInstance.remove(traceInstanceName(key))
      rmSync(join(runFolder, key), { recursive: true, force: true })
      await disk.remove()
    })

    /** Resolves when a new file in the mounted file system could be made. */
    const isWritable = (): Promise<void> =>
      new Promise((resolve) =>
        spawn('touch', [join(disk.mountPoint, 'probe')]).once('close', () => resolve()),
      )

    it('leaves it thawed within the bound when it is killed at any moment of a point', async () => {
      startAgent(disk.device, withToken())
      await replicate(disk.device)
      await untilState('CONTINUOUS')
      for (const delayMs of [0, 20, 40, 60, 90, 130]) {
        const id = `cp-${delayMs}`
        gateway.desired = {
          ...gateway.desired,
          consistencyPoint: {
            consistencyPointId: id,
            expiresAt: new Date(Date.now() + 60_000).toISOString(),
            maxFreezeMs: 2000,
          },
        }
        await until(
          'the point is asked for',
          () => Promise.resolve(agent?.output.includes(`Consistency point ${id} is asked for`)),
          20_000,
          2,
        )
        await new Promise((resolve) => setTimeout(resolve, delayMs))
        agent?.child.kill('SIGKILL')
        await agent?.ended
        const begin = Date.now()
        await isWritable()
        expect(Date.now() - begin).toBeLessThan(5000)
        const { consistencyPoint: _, ...rest } = gateway.desired
        gateway.desired = rest
        const { generation } = gateway
        startAgent(disk.device)
        await until(
          'it is heard again',
          () => Promise.resolve((gateway.last?.generation ?? 0) > generation),
          20_000,
          20,
        )
        await until('the agent reports CONTINUOUS', async () => {
          // As a gateway does with every heartbeat: the point may be reached only now, after its agent's death, and nobody wants it.
          const certificateSerials = [...gateway.serials]
          await replicator.assign(replicator.assignment([sizeBytes], { certificateSerials }))
          return gateway.last?.state === 'CONTINUOUS'
        })
      }
      await until(
        'no helper is left',
        async () => {
          const pattern = `rehost-free[z]e .*${basename(disk.folder)}`
          return (await run('sh', ['-c', 'pgrep -fc "$1" || true', 'sh', pattern])).stdout.trim() === '0'
        },
        10_000,
      )
    })
  })
})
