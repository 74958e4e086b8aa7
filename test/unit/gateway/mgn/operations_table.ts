/**
 * The table of docs/mgn_api.md: of each operation who may call it, what it does here (words that the document has already), and the tests that call it.
 * @module
 */
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { roleForOperation } from '../../../../domain/access_key.ts'
import { operations } from '../../../../gateway/mgn/operations.ts'
import { projectRoot } from '../support.ts'

/** Tests of operations by MGN's own client, and a migration by the AWS CLI alone. */
const clientTests = 'test/unit/gateway/mgn'
const commandLineTest = 'test/e2e/aws_cli_test.ts'

const head = ['| operation | role | what it does | called by |', '| --- | --- | --- | --- |'].join('\n')

const tablePattern = new RegExp(`${head.split('\n')[0]?.replaceAll('|', '\\|')}\\n(?:\\|.*\\n)+`)
const rowPattern = /^\| `(\w+)` \| \w+ \| (.+) \| .+ \|$/gm

/** `DescribeJobs` as the AWS CLI calls it. */
const commandOf = (name: string): string =>
  name.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => `-${letter}`).toLowerCase()

/** The document with its table made anew. @throws Error for an operation without words, or one that no test calls. */
export async function withTable(document: string): Promise<string> {
  const words = new Map([...document.matchAll(rowPattern)].map(([, name = '', what = '']) => [name, what]))
  const names = (await readdir(join(projectRoot, clientTests))).filter((name) => name.endsWith('_test.ts'))
  const tests = await Promise.all(
    names.sort().map(async (name) => ({ name, text: await textOf(join(clientTests, name)) })),
  )
  const commandLine = await textOf(commandLineTest)
  const rows = operations.map(({ name }) => {
    const what = words.get(name)
    if (what === undefined) throw new Error(`docs/mgn_api.md has no row that says what ${name} does`)
    const callers = tests.filter(({ text }) => text.includes(`new ${name}Command(`)).map((one) => one.name)
    if (callers.length === 0) throw new Error(`No test in ${clientTests} calls ${name}`)
    if (commandLine.includes(`'${commandOf(name)}'`)) callers.push('aws_cli_test.ts')
    return `| \`${name}\` | ${roleForOperation(name)} | ${what} | ${callers.map((test) => `\`${test}\``).join(', ')} |`
  })
  if (!tablePattern.test(document)) throw new Error('docs/mgn_api.md has no table of operations')
  return document.replace(tablePattern, () => `${head}\n${rows.join('\n')}\n`)
}

const textOf = (path: string): Promise<string> => readFile(join(projectRoot, path), 'utf8')
