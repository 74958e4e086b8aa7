import { describe, expect, it } from 'vitest'
import { readSupervisorConfig } from '../../../bin/supervisor/config.ts'
import { readGatewayConfig } from '../../../gateway/config.ts'
import { readWorkersConfig } from '../../../workers/config.ts'

const environment = { REDIS_URL: 'redis://127.0.0.1' }

/** Every process that reads the variables. */
const readers = {
  gateway: (values: Record<string, string>) =>
    readGatewayConfig({ ...environment, ...values }, '/srv').recordTable,
  workers: (values: Record<string, string>) => readWorkersConfig({ ...environment, ...values }).recordTable,
}

describe.each(Object.entries(readers))('the table of records that the %s use', (_name, read) => {
  it('is the one that people have, in UTC, unless told', () => {
    expect(read({})).toEqual({ name: 'mgn_initial_replication_info', timeZone: 'UTC' })
  })

  it('has the zone by its one name', () => {
    expect(read({ REHOST_RECORD_TIME_ZONE: 'Japan', REHOST_RECORD_TABLE: 'own.records' })).toEqual({
      name: 'own.records',
      timeZone: 'Asia/Tokyo',
    })
  })
})

describe.each(
  Object.entries({
    ...readers,
    supervisor: (values: Record<string, string>) => readSupervisorConfig(values),
  }),
)('the %s', (_name, read) => {
  it('names a variable that is wrong', () => {
    expect(() => read({ REHOST_RECORD_TIME_ZONE: 'Mars/Olympus' })).toThrow(
      'REHOST_RECORD_TIME_ZONE: there is no time zone Mars/Olympus',
    )
    expect(() => read({ REHOST_RECORD_TABLE: 'my records' })).toThrow('REHOST_RECORD_TABLE: 3 to 255 letters')
  })

  it('refuses the table of the state as that of the records', () => {
    expect(() => read({ REHOST_TABLE: 'one', REHOST_RECORD_TABLE: 'one' })).toThrow(
      'REHOST_RECORD_TABLE is one as REHOST_TABLE is',
    )
  })
})
