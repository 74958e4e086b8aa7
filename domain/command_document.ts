/**
 * Documents: what can be run on a launched machine, by the names that AWS Systems Manager has for them. A cloud says which of them it runs.
 * @module
 */
import { InvalidInputError } from './errors.ts'

/** A script for the shell; MGN's users know it well. */
export const shellScriptDocument = 'AWS-RunShellScript'

/** Parameters of each document that Rehost knows; the one named first must be given. */
const parametersOf: Readonly<Record<string, readonly [string, ...string[]]>> = {
  [shellScriptDocument]: ['commands', 'workingDirectory', 'executionTimeout'],
}

/** The documents that Rehost knows. */
export const knownDocuments = Object.keys(parametersOf)

/** There is one version of each document, by any of these names. */
const versions = ['$DEFAULT', '$LATEST', '1']

/** Longest time limit: two days, as Systems Manager has it. */
export const maxCommandSeconds = 172_800
/** Time limit where none is given. */
export const standardCommandSeconds = 3600
/** Largest script: it travels in one message. */
export const maxScriptBytes = 65_536

/** A shell script to run as root, with nothing left to look up. */
export interface ShellScript {
  text: string
  workingDirectory?: string
  timeoutSeconds: number
}

/** What one action asks of a document. */
export interface DocumentUse {
  documentIdentifier: string
  documentVersion?: string | undefined
  parameterNames: readonly string[]
}

/** @throws InvalidInputError naming the field, when the document is not known or is not used as it must be. */
export function checkDocumentUse({ documentIdentifier, documentVersion, parameterNames }: DocumentUse): void {
  const known = parametersOf[documentIdentifier]
  if (known === undefined || !Object.hasOwn(parametersOf, documentIdentifier)) {
    throw new InvalidInputError(
      'documentIdentifier',
      `must be a document that the local cloud runs, which is ${knownDocuments.join(' or ')}`,
    )
  }
  if (documentVersion !== undefined && !versions.includes(documentVersion)) {
    throw new InvalidInputError(
      'documentVersion',
      `must be ${versions.join(', ')}: there is one version of ${documentIdentifier}`,
    )
  }
  const unknown = parameterNames.find((name) => !known.includes(name))
  if (unknown !== undefined) {
    throw new InvalidInputError(
      'parameters',
      `must be of ${documentIdentifier}, which has ${known.join(', ')}; ${unknown} is none of them`,
    )
  }
  if (!parameterNames.includes(known[0])) {
    throw new InvalidInputError('parameters', `must have ${known[0]}, without which nothing can be run`)
  }
}

/**
 * The script that a document with these values is.
 * @throws InvalidInputError when a value is of no use.
 */
export function shellScriptOf(
  values: Readonly<Record<string, readonly string[]>>,
  timeoutSeconds: number,
): ShellScript {
  const text = (values['commands'] ?? []).join('\n')
  if (text.trim() === '') throw new InvalidInputError('commands', 'There are no commands to run')
  if (text.includes('\0')) throw new InvalidInputError('commands', 'The commands have a null character')
  const lengthBytes = new TextEncoder().encode(text).length
  if (lengthBytes > maxScriptBytes)
    throw new InvalidInputError(
      'commands',
      `The commands have ${lengthBytes} bytes; ${maxScriptBytes} are possible: have them fetch the rest`,
    )
  const workingDirectory = values['workingDirectory']?.join('').trim() ?? ''
  if (/[\0\n]/.test(workingDirectory))
    throw new InvalidInputError('workingDirectory', 'The working directory has more than one line')
  const wanted = values['executionTimeout']?.join('').trim() ?? ''
  const ownSeconds = wanted === '' ? timeoutSeconds : Number(wanted)
  if (!Number.isSafeInteger(ownSeconds) || ownSeconds < 1)
    throw new InvalidInputError('executionTimeout', 'The execution timeout is no whole number of seconds')
  return {
    text: text.endsWith('\n') ? text : `${text}\n`,
    ...(workingDirectory === '' ? {} : { workingDirectory }),
    timeoutSeconds: Math.min(timeoutSeconds, ownSeconds, maxCommandSeconds),
  }
}
