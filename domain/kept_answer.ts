/**
 * An answer of the API that is kept for a while under the key that its caller sent with the request, so that the same request sent again is
 * answered and not done again.
 * @module
 */

/** A request with a key: it runs, or it has been answered. */
export interface KeptAnswer {
  /** SHA-256 of whose key it is, and of the key. */
  keptAnswerId: string
  /** SHA-256 of the request: the key may not be used for another one. */
  requestSha256: string
  expiresAt: string
  /** While it runs: whoever runs it writes a later time here again and again. Once it is past, he has died. */
  runningUntil?: string
  answer?: {
    status: number
    headers: Record<string, string>
    /** As `SecretBox` of the store has sealed it: some answers hold secrets. Missing when it was too large. */
    sealedBody?: string
  }
}

/** Keys are remembered so long. */
export const answersKeptMs = 24 * 3_600_000
