/**
 * Commands on launched machines.
 * @module
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import type { CloudCommand, CloudMachine, CommandSpec } from '../../cloud/provider.ts'
import { shellScriptDocument } from '../../domain/command_document.ts'
import { InvalidInputError, NotFoundError, PermanentError } from '../../domain/errors.ts'
import type { CommandId, MachineId } from '../../domain/ids.ts'
import { newId } from '../../domain/ids.ts'
import { bootSector } from '../fixtures/boot_sector.ts'
import { until } from '../fixtures/waiting.ts'
import type { CloudBench } from './cloud_bench.ts'

/** Adds these tests to the suite. @param bench the bench of the test that runs */
export function sentCommands(bench: () => CloudBench): void {
  async function launch(takesCommands: boolean): Promise<CloudMachine> {
    const { id } = await bench().volumeWith(bootSector({ text: 'up\r\n', end: 'halt' }))
    const image = await bench().imageOf(id)
    return bench().provider.launchMachine(bench().machineSpec(image.id, { takesCommands }))
  }

  function spec(machineId: MachineId, commands: string[], changes: Partial<CommandSpec> = {}): CommandSpec {
    return {
      clientToken: 'command',
      machineId,
      documentIdentifier: shellScriptDocument,
      parameters: { commands },
      timeoutSeconds: 60,
      ...changes,
    }
  }

  async function ended(machineId: MachineId, id: CommandId): Promise<CloudCommand> {
    return until('the command is over', async () => {
      const command = await bench().provider.describeCommand(machineId, id)
      return command.state === 'WAITING' || command.state === 'RUNNING' ? undefined : command
    })
  }

  test('a command runs once however often it is sent, and what became of it stays', async () => {
    const { provider, other, cloud } = bench()
    expect(provider.capabilities.documents).toContain(shellScriptDocument)
    const { machineId } = await launch(true)
    const folder = await mkdtemp(path.join(tmpdir(), 'rehost-commands-'))
    const file = path.join(folder, 'runs')
    const script = ['echo once >> runs', 'echo printed', 'exit 3']
    const sent = spec(machineId, script, { parameters: { commands: script, workingDirectory: [folder] } })
    const id = await provider.sendCommand(sent)
    await cloud.takeCommands(machineId)
    expect(await ended(machineId, id)).toEqual({
      state: 'FAILED',
      stateReason: 'It ended with exit code 3',
      output: 'printed\n',
    })
    expect(await readFile(file, 'utf8')).toBe('once\n')
    // Another worker sends it again, perhaps with what parameters have become since.
    expect(await other.sendCommand(spec(machineId, ['echo other']))).toBe(id)
    expect(await other.describeCommand(machineId, id)).toMatchObject({ output: 'printed\n' })
    expect(await readFile(file, 'utf8')).toBe('once\n')
    const next = await other.sendCommand(spec(machineId, ['echo all well'], { clientToken: 'next' }))
    expect(next).not.toBe(id)
    expect(await ended(machineId, next)).toEqual({ state: 'SUCCEEDED', output: 'all well\n' })
    await rm(folder, { recursive: true })
  })

  test('a command that takes too long is ended', async () => {
    const { provider, cloud } = bench()
    const { machineId } = await launch(true)
    await cloud.takeCommands(machineId)
    const id = await provider.sendCommand(spec(machineId, ['echo begun', 'sleep 600'], { timeoutSeconds: 1 }))
    expect(await ended(machineId, id)).toEqual({
      state: 'FAILED',
      stateReason: 'It ran for longer than 1 s and was ended',
      // The shell may have a word to say to that.
      output: expect.stringMatching(/^begun\n/),
    })
  })

  test('what cannot be run is refused', async () => {
    const { provider } = bench()
    const { machineId } = await launch(false)
    const refused = async (command: CommandSpec) =>
      provider.sendCommand(command).then(
        () => expect.fail('It was taken'),
        (error: unknown) => error,
      )
    const deaf = await refused(spec(machineId, ['true']))
    expect(deaf).toBeInstanceOf(PermanentError)
    expect((deaf as Error).message).toContain(`machine ${machineId}`)
    const unknown = await refused(spec(machineId, ['true'], { documentIdentifier: 'AWS-InstallMissiles' }))
    expect(unknown).toBeInstanceOf(PermanentError)
    expect((unknown as Error).message).toContain(shellScriptDocument)
    expect(await refused(spec(newId('machine'), ['true']))).toBeInstanceOf(NotFoundError)
    await provider.terminateMachine(machineId)
    const listening = await launch(true)
    expect(await refused(spec(listening.machineId, ['']))).toBeInstanceOf(InvalidInputError)
    await expect(provider.describeCommand(listening.machineId, newId('command'))).rejects.toBeInstanceOf(
      NotFoundError,
    )
  })
}
