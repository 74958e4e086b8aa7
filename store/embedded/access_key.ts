/**
 * Who may use the embedded store: whoever has its access key. dynalite looks at no signature and lets every site in, and loopback is
 * shared by all users of this machine and by every page that a browser here has open.
 * @module
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { RequestListener, Server } from 'node:http'

const credentialPattern = /^AWS4-HMAC-SHA256 (?:.*[ ,])?Credential=([^/, ]+)\//

/**
 * Puts the question for the key before everything that `server` answers, a browser's question whether another site may ask (CORS) too.
 * The key alone decides: it is 256 random bits and new at each start, so knowing it is proof enough without the signature.
 */
export function requireAccessKey(server: Server, accessKeyId: string): void {
  const expected = sha256(accessKeyId)
  const answers = server.listeners('request') as RequestListener[]
  server.removeAllListeners('request')
  server.on('request', (request, response) => {
    const [, shown = ''] = credentialPattern.exec(request.headers.authorization ?? '') ?? []
    if (timingSafeEqual(sha256(shown), expected)) {
      for (const answer of answers) answer(request, response)
      return
    }
    // As DynamoDB answers, so that its clients say what is wrong and do not try again.
    const body = JSON.stringify({
      __type: 'com.amazon.coral.service#UnrecognizedClientException',
      message: 'The access key is not the one that this store was started with',
    })
    response.writeHead(400, { 'Content-Type': 'application/x-amz-json-1.0', Connection: 'close' }).end(body)
  })
}

/** Digests have one length, which a comparison in constant time needs. */
function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
