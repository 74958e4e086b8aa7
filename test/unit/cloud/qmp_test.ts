/**
 * The QMP client against a scripted far end.
 * @module
 */
import { createInterface } from 'node:readline'
import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { Qmp, QmpError } from '../../../cloud/qemu/qmp.ts'

/** A far end that answers each command with what `answer` gives; undefined is silence. */
function farEnd(answer: (command: string, id: number) => string | undefined) {
  const toQemu = new PassThrough()
  const fromQemu = new PassThrough()
  const events: string[] = []
  createInterface({ input: toQemu }).on('line', (line) => {
    const { execute, id } = JSON.parse(line) as { execute: string; id: number }
    const text = answer(execute, id)
    if (text !== undefined) fromQemu.write(text)
  })
  return { qmp: new Qmp(fromQemu, toQemu, (name) => events.push(name)), fromQemu, events }
}

const ok = (id: number, value: unknown = {}) => `${JSON.stringify({ return: value, id })}\n`

test('execute() gives each command its own answer, whatever the order and the events between', async () => {
  let held = ''
  const { qmp, events } = farEnd((command, id) => {
    if (command === 'first') {
      held = ok(id, 'one')
      return undefined
    }
    return `{"QMP":{}}\n{"event":"STOP","timestamp":{}}\n${ok(id, 'two')}${held}`
  })
  const answers = await Promise.all([qmp.execute('first'), qmp.execute('second')])
  expect(answers).toEqual(['one', 'two'])
  expect(events).toEqual(['STOP'])
})

test('execute() reports a refusal in the words of QEMU', async () => {
  const error = { class: 'DeviceNotFound', desc: 'Cannot find device disk9' }
  const { qmp } = farEnd((_, id) => `${JSON.stringify({ error, id })}\n`)
  const refusal = await qmp.execute('block-stream').catch((caught: unknown) => caught)
  expect(refusal).toBeInstanceOf(QmpError)
  expect(refusal).toMatchObject({ message: 'Cannot find device disk9', errorClass: 'DeviceNotFound' })
})

test('execute() ends at its deadline, and the conversation goes on', async () => {
  const { qmp } = farEnd((command, id) => (command === 'slow' ? undefined : ok(id, 'here')))
  await expect(qmp.execute('slow', {}, 20)).rejects.toThrow('Cannot run slow in QEMU: no answer in 0.02 s')
  expect(await qmp.execute('quick')).toBe('here')
})

test('execute() fails when the far end goes away, and from then on', async () => {
  const { qmp, fromQemu } = farEnd(() => undefined)
  const asked = qmp.execute('query-status')
  fromQemu.end()
  await expect(asked).rejects.toThrow('it closed the connection')
  await expect(qmp.execute('query-status')).rejects.toThrow('it closed the connection')
})

test('execute() fails when the far end speaks something else', async () => {
  const { qmp } = farEnd(() => 'HTTP/1.1 400 Bad Request\n')
  await expect(qmp.execute('query-status')).rejects.toThrow('Cannot understand QEMU: HTTP/1.1 400')
})
