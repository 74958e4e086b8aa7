import { describe, expect, test } from 'vitest'
import { lastWordsOf } from '../../../cloud/qemu/last_words.ts'

const killed = 'it ended without a word: it was killed or the host was restarted'
const line = (level: number, msg: string): string => JSON.stringify({ level, name: 'replicator', msg })

describe('lastWordsOf()', () => {
  test.each([
    ['an empty log', '', killed],
    ['work as usual', `${line(30, 'Source server assigned')}\n`, killed],
    [
      'an error and nothing after it',
      `${line(30, 'Ready')}\n${line(60, 'Cannot enrol: used token')}\n`,
      'Cannot enrol: used token',
    ],
    [
      'an error that was got over',
      `${line(50, 'Disk full')}\n${line(30, 'The gateway answers again')}\n`,
      killed,
    ],
    ['a line that was cut', `${line(30, 'Ready')}\n{"level":60,"ms`, killed],
    [
      'what the runtime prints when it dies',
      `${line(30, 'Ready')}\nfile:///opt/replicator/main.ts:7\n  throw new Error('x')\n        ^\n\nError: Out of handles\n    at open (file:///x.ts:1:2)\n\nNode.js v24.21.0\n`,
      "  throw new Error('x') | Error: Out of handles",
    ],
    ['plain words', 'Cannot enrol: the token is wrong\n', 'Cannot enrol: the token is wrong'],
  ])('of %s', (_what, log, words) => {
    expect(lastWordsOf(log)).toBe(words)
  })
})
