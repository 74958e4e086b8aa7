/**
 * The replicator as a process of its own, with a gateway and a CA made for the test, on loopback and in a temporary folder.
 * @module
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { agentUri } from '../../../wire/control_api.ts'
import type { TestCa, TestCertificate } from '../../fixtures/test_ca.ts'
import { makeTestCa } from '../../fixtures/test_ca.ts'
import { freePorts, until } from '../../fixtures/waiting.ts'
import { FakeGateway } from './fake_gateway.ts'
import { TestAgent } from './test_agent.ts'
import { makeSparseFile } from './test_replicator.ts'

const main = join(import.meta.dirname, '../../../replicator/main.ts')

type Assigned = FakeGateway['desired']['assignments'][number]

/** One life of the process. */
export class Run {
  readonly child: ChildProcess
  readonly log: Record<string, unknown>[] = []
  readonly stderr: string[] = []
  readonly exit: Promise<number | null>

  constructor(child: ChildProcess) {
    this.child = child
    this.exit = once(child, 'exit').then(([code]) => code as number | null)
    let rest = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) this.log.push(JSON.parse(line) as Record<string, unknown>)
    })
    child.stderr?.on('data', (chunk: Buffer) => this.stderr.push(chunk.toString()))
  }

  /** Waits for a line of the log whose message matches; answers it. */
  async line(text: string | RegExp): Promise<Record<string, unknown>> {
    return await until(`the log says ${text}`, () =>
      Promise.resolve(this.log.find((line) => new RegExp(text).test(String(line['msg'])))),
    )
  }

  /** The message of the last line. */
  get lastMessage(): string {
    return String(this.log.at(-1)?.['msg'])
  }

  /** Ends it in order; answers its exit code. */
  async terminate(): Promise<number | null> {
    this.child.kill('SIGTERM')
    return await this.exit
  }
}

/** Everything around the process. */
export class ReplicatorProcess {
  readonly folder: string
  readonly ca: TestCa
  /** Of source server s-1. */
  readonly certificate: TestCertificate
  readonly gateway: FakeGateway
  readonly gatewayPort: number
  readonly port: number
  readonly sizeBytes: number
  readonly #children: ChildProcess[] = []

  private constructor(made: {
    folder: string
    ca: TestCa
    certificate: TestCertificate
    gateway: FakeGateway
    gatewayPort: number
    port: number
    sizeBytes: number
  }) {
    this.folder = made.folder
    this.ca = made.ca
    this.certificate = made.certificate
    this.gateway = made.gateway
    this.gatewayPort = made.gatewayPort
    this.port = made.port
    this.sizeBytes = made.sizeBytes
  }

  /** A gateway that assigns s-1 with one empty volume of `sizeBytes`; nothing runs yet. */
  static async prepare(sizeBytes: number): Promise<ReplicatorProcess> {
    const folder = mkdtempSync(join(tmpdir(), 'rehost-replicator-process-'))
    const ca = await makeTestCa()
    const certificate = await ca.issue({ uri: agentUri('s-1') })
    const gateway = new FakeGateway(ca)
    const gatewayPort = await gateway.start()
    const port = (await freePorts(1))[0] ?? 0
    writeFileSync(join(folder, 'ca.pem'), ca.caPem)
    writeFileSync(join(folder, 'token'), `${gateway.token}\n`)
    const own = new ReplicatorProcess({ folder, ca, certificate, gateway, gatewayPort, port, sizeBytes })
    makeSparseFile(own.diskPath, sizeBytes)
    own.assign()
    return own
  }

  get diskPath(): string {
    return join(this.folder, 'disk.raw')
  }

  /** What the gateway says from now on: s-1, with these changes. */
  assign(changes: Partial<Assigned> = {}): void {
    const volumes = [
      { diskIndex: 0, volumeId: 'vol-0', devicePath: this.diskPath, sizeBytes: this.sizeBytes },
    ]
    const own = { sourceServerId: 's-1', certificateSerials: [this.certificate.serial], volumes }
    this.gateway.desired = { ...this.gateway.desired, assignments: [{ ...own, ...changes }] }
  }

  /** Starts the process, with these variables changed. */
  start(changes: Record<string, string> = {}): Run {
    const child = spawn(process.execPath, [main], {
      env: {
        PATH: process.env['PATH'],
        REHOST_REPLICATION_PORT: String(this.port),
        REHOST_LISTEN_HOST: '127.0.0.1',
        REHOST_GATEWAY_URL: `https://127.0.0.1:${this.gatewayPort}`,
        REHOST_CA_PEM_FILE: join(this.folder, 'ca.pem'),
        REHOST_REPLICATOR_TOKEN_FILE: join(this.folder, 'token'),
        REHOST_REPLICATION_SERVER_ID: 'i-1',
        REHOST_REPLICATOR_STATE_DIR: join(this.folder, 'state'),
        ...changes,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.own(child)
    return new Run(child)
  }

  /** Takes care that a process does not outlive the test. */
  own(child: ChildProcess): void {
    this.#children.push(child)
  }

  async connect(certificate = this.certificate): Promise<TestAgent> {
    return await TestAgent.connect({ port: this.port, caPem: this.ca.caPem, certificate })
  }

  /** Waits until a heartbeat reports this error of s-1, or none. */
  async reported(error: string | undefined): Promise<void> {
    await until(`a heartbeat reports ${error ?? 'no error'}`, () => {
      const session = this.gateway.heartbeats.at(-1)?.sessions[0]
      return Promise.resolve(session?.sourceServerId === 's-1' && session.error === error)
    })
  }

  /** Ends all processes and removes the folder. */
  async end(): Promise<void> {
    for (const child of this.#children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await this.gateway.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
