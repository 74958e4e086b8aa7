/**
 * Connectors. They need managed instances that run commands on other servers, which this installation has none of: it behaves as an account without.
 * @module
 */
import { z } from 'zod'
import { NotFoundError } from '../../../domain/errors.ts'
import { connectorID, paging, tags } from '../fields.ts'
import { notSupported } from '../mgn_error.ts'
import { operation } from '../operation.ts'
import { pageOf } from '../pages.ts'

const name = z
  .string()
  .min(1)
  .max(256)
  .regex(/^[A-Za-z0-9_-]+$/, 'must be letters, digits, _ and -')

const ssmCommandConfig = z.object({
  s3OutputEnabled: z.boolean(),
  outputS3BucketName: z
    .string()
    .regex(/^[a-zA-Z0-9.\-_]{1,255}$/, 'must be the name of a bucket')
    .optional(),
  cloudWatchOutputEnabled: z.boolean(),
  cloudWatchLogGroupName: z
    .string()
    .max(512)
    .regex(/^[.\-_/#A-Za-z0-9]+$/, 'must be the name of a log group')
    .optional(),
})

export const connectorOperations = [
  operation({
    name: 'CreateConnector',
    status: 201,
    input: z.object({
      name,
      ssmInstanceID: z.string().regex(/^m?i-[0-9a-zA-Z]{17}$/, 'must be the id of a managed instance'),
      tags: tags.optional(),
      ssmCommandConfig: ssmCommandConfig.optional(),
    }),
    run: (_context, { ssmInstanceID }) =>
      Promise.reject(
        notSupported(
          'ssmInstanceID',
          `there is no managed instance ${ssmInstanceID}: the local cloud has none`,
        ),
      ),
  }),
  operation({
    name: 'ListConnectors',
    status: 200,
    input: z.object({
      filters: z.object({ connectorIDs: z.array(connectorID).max(20).optional() }).optional(),
      ...paging,
    }),
    run: (_context, { filters: _none, ...wanted }) => Promise.resolve(pageOf<object>([], () => '', wanted)),
  }),
  operation({
    name: 'UpdateConnector',
    status: 200,
    input: z.object({ connectorID, name: name.optional(), ssmCommandConfig: ssmCommandConfig.optional() }),
    run: (_context, input) => Promise.reject(new NotFoundError('Connector', input.connectorID)),
  }),
  operation({
    name: 'DeleteConnector',
    status: 204,
    input: z.object({ connectorID }),
    run: (_context, input) => Promise.reject(new NotFoundError('Connector', input.connectorID)),
  }),
]
