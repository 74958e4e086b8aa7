/**
 * The seam to whoever signs certificates: the embedded authority here, an external one behind the same interface.
 * @module
 */

/** What a certificate says of its bearer. */
export interface CertificateSubject {
  /** The one URI SAN: who the bearer is. */
  uri: string
  /** DNS names that TLS clients may connect to the bearer by; none for agents. */
  dnsNames: readonly string[]
}

/** A certificate as issued. */
export interface IssuedCertificate {
  certificatePem: string
  /** Upper-case hexadecimal, as Node and OpenSSL print it. */
  serial: string
  notAfter: string
}

/** Signs requests. */
export interface CertIssuer {
  /** The certificate that everybody trusts. */
  readonly caPem: string
  /** How long an issued certificate is valid; it is renewed at half of it. */
  readonly validityMs: number
  /**
   * Issues a certificate for the key in `csrPem`; whatever else the request says is ignored.
   * @throws InvalidInputError when the request cannot be read, its signature is wrong, or its key is not P-256.
   */
  issue(csrPem: string, subject: CertificateSubject): Promise<IssuedCertificate>
}

/** Whether a certificate valid until `notAfter` is past half its life. */
export function isRenewalDue(notAfter: string, validityMs: number, now: Date): boolean {
  return Date.parse(notAfter) - now.getTime() < validityMs / 2
}
