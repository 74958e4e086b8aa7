/**
 * Parameters: values that actions name and the store keeps sealed, in the place of the cloud's own store of parameters.
 * @module
 */

/** Names are those of AWS Systems Manager, without folders. */
export const parameterNamePattern = /^[A-Za-z0-9_.-]{1,512}$/

/** Longest value. */
export const maxParameterBytes = 16_384
/** Most parameters. */
export const maxParameters = 1000

/** A parameter as it is stored. */
export interface Parameter {
  name: string
  sealedValue: string
  changedAt: string
  changedBy: string
}

/** What its value is sealed for. */
export function sealNameOf(parameterName: string): string {
  return `parameter ${parameterName}`
}
