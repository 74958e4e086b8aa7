/**
 * Prometheus' text format: base units, one line a sample.
 * @module
 */

/** A label's value as the format asks for it. */
export function label(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')
}

/** The samples of one name, with what they are. */
export function family(
  name: string,
  help: string,
  samples: readonly string[],
  type: 'gauge' | 'counter' = 'gauge',
): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples]
}
