import { describe, expect, it } from 'vitest'
import { agentNotSeen, certificateExpiredAt } from '../../../domain/agent_silence.ts'
import { later, testServer } from '../../fixtures/source_server.ts'

const server = testServer('NOT_READY', 'STALLED')
const certificateNotAfter = later(3600)
const silent = { ...server, agent: { ...server.agent, lastSeenAt: later(10), certificateNotAfter } }

describe('agentNotSeen()', () => {
  it('says where to look while the agent can come back', () => {
    expect(certificateExpiredAt(silent, later(3599))).toBeUndefined()
    expect(agentNotSeen(silent, later(3599))).toEqual({
      error: 'AGENT_NOT_SEEN',
      rawError: `The agent was last seen at ${later(10)}`,
      whatToDo:
        'See whether web-1 is up and reaches this service on the agent port; there: systemctl status rehost-agent',
    })
  })

  it('says when the certificate expired, and that another installation keeps the replica', () => {
    expect(certificateExpiredAt(silent, later(3600))).toBe(certificateNotAfter)
    expect(agentNotSeen(silent, later(3600))).toEqual({
      error: 'AGENT_NOT_SEEN',
      rawError: `The agent was last seen at ${later(10)}, and its certificate expired at ${certificateNotAfter}: it cannot come back by itself`,
      whatToDo:
        'Install the agent on web-1 again with a new command from Add server: with its machine id and a network address (MAC) as before it is known as this server, which keeps its replica',
    })
  })

  it('promises no replica to a machine that cannot be recognized', () => {
    const { machineId: _none, ...identificationHints } = silent.sourceProperties.identificationHints
    const nameless = { ...silent, sourceProperties: { ...silent.sourceProperties, identificationHints } }
    expect(agentNotSeen(nameless, later(3600)).whatToDo).toBe(
      'Install the agent on web-1 again with a new command from Add server: it becomes a new server and is copied anew, as its machine id is not known',
    )
  })

  it('says nothing of the certificate of an agent that was uninstalled', () => {
    const gone = { ...silent, agent: { ...silent.agent, uninstalledAt: later(20) } }
    expect(certificateExpiredAt(gone, later(3600))).toBeUndefined()
  })
})
