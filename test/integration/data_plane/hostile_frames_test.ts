/**
 * Hostile frames against a session that serves volumes: each connection ends or goes on, none harms the process or what others stored, and
 * an honest agent is served afterwards.
 *
 * `CONNECTIONS=N` opens N of them, `REHOST_LONG=1` 200,000; `SEED=…` begins with that one.
 * @module
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import type { Hello } from '../../../wire/message.ts'
import { randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { encodeAll } from '../../unit/wire/frame_messages.ts'
import { hostileStream, makeCorpus } from '../../unit/wire/frame_mutations.ts'
import { helloOf } from '../replicator/test_agent.ts'
import { SimLink } from './sim_link.ts'
import { goodLink, SimWorld } from './sim_world.ts'

const seed = seedFor('hostile frames')
const connections = Number(
  process.env['CONNECTIONS'] ?? (process.env['REHOST_LONG'] === '1' ? 200_000 : 3000),
)
const sizeBytes = 20 * blockSizeBytes + 512

/** A HELLO that is admitted, or almost. */
function anyHello(random: () => number, generation: number): Hello {
  return helloOf(sizeBytes, { generation, connectionIndex: randomInt(random, 0, 1) })
}

describe('a replicator under hostile frames', () => {
  it(
    'serves an honest agent when they are over',
    async () => {
      const corpus = makeCorpus(seed)
      const world = new SimWorld(seed, { diskBytes: [sizeBytes], isAllTracked: true, connectionCount: 1 })
      let opened = 0
      try {
        await world.replicator.start()
        await world.converge()
        const { generation } = world.replicator.registry.servers[0]?.report() ?? { generation: 1 }
        await world.agent.stop()
        for (; opened < connections; opened++) {
          const random = seededRandom((seed + opened) >>> 0)
          const link = new SimLink(random, goodLink)
          world.replicator.accept(link.replicatorEnd)
          link.agentEnd.resume()
          const hasHello = random() < 0.9
          if (hasHello)
            link.agentEnd.write(encodeAll([{ type: 'HELLO', body: anyHello(random, generation) }]))
          const { chunks } = hostileStream(corpus, random, hasHello ? 2 : 1)
          for (const chunk of chunks) link.agentEnd.write(chunk)
          for (let turns = randomInt(random, 0, 12); turns > 0; turns--) await nextTurn()
          link.agentEnd.destroy()
        }
        // Some asked for a consistency point, which the gateway knows nothing of.
        await world.replicator.heartbeat()
        await world.until(
          'all connections are over',
          () => !world.replicator.registry.servers.some((s) => s.isConnected),
        )
        await world.restartAgent(false)
        await world.finish()
      } catch (error) {
        // What one has left behind may show after later ones: all of them are replayed.
        throw new Error(`Failed with SEED=${seed} CONNECTIONS=${Math.min(opened + 1, connections)}`, {
          cause: error,
        })
      } finally {
        await world.end()
      }
    },
    120_000 + connections * 20,
  )
})
