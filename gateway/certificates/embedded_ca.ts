/**
 * The embedded certificate authority: made once in the data folder, readable by its owner alone.
 * @module
 */
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { CertIssuer, CertificateSubject, IssuedCertificate } from './issuer.ts'
import type { Authority } from './x509.ts'
import type { RandomBytes } from '../../domain/ids.ts'
import { writeSecretFile } from '../../store/kept_secret.ts'
import {
  checkedRequestKey,
  makeAuthorityCertificate,
  newKeyPair,
  privateKeyPem,
  publicKeyPin,
  readCertificate,
  readKeyPair,
  signLeaf,
} from './x509.ts'

/** The gateway's own certificate is made afresh at every start; this is for one that runs on. */
const gatewayValidityMs = 397 * 86_400_000

/** What the agent port presents. */
export interface GatewayIdentity {
  keyPem: string
  /** The leaf followed by the authority, so that a client sees the whole chain. */
  certificatePem: string
  /** SHA-256 of the public key, base64: stays the same over restarts, so that install commands stay valid. */
  pin: string
}

/** Where the files are and what the outside gives. */
export interface EmbeddedCaOptions {
  /** Folder of the authority's files, made when missing. */
  folder: string
  clock: () => Date
  random: RandomBytes
  /** Of certificates for agents and replication servers. */
  validityMs: number
}

/** The authority. */
export class EmbeddedCa implements CertIssuer {
  readonly caPem: string
  readonly validityMs: number
  readonly #authority: Authority
  readonly #gatewayKeys: CryptoKeyPair
  readonly #options: EmbeddedCaOptions

  private constructor(options: EmbeddedCaOptions, authority: Authority, gatewayKeys: CryptoKeyPair) {
    this.#options = options
    this.#authority = authority
    this.#gatewayKeys = gatewayKeys
    this.caPem = `${authority.certificate.toString('pem')}\n`
    this.validityMs = options.validityMs
  }

  /**
   * Reads the authority, or makes it.
   * @throws Error naming the file when it is there and cannot be read.
   */
  static async open(options: EmbeddedCaOptions): Promise<EmbeddedCa> {
    const { folder } = options
    const made = await readAuthority(folder)
    if (made !== undefined) return new EmbeddedCa(options, made.authority, made.gatewayKeys)
    await makeAuthority(options)
    const fresh = await readAuthority(folder)
    if (fresh === undefined) throw new Error(`Cannot read the certificate authority just made in ${folder}`)
    return new EmbeddedCa(options, fresh.authority, fresh.gatewayKeys)
  }

  async issue(csrPem: string, subject: CertificateSubject): Promise<IssuedCertificate> {
    const { clock, random } = this.#options
    const key = await checkedRequestKey(csrPem)
    const certificate = await signLeaf(
      this.#authority,
      key,
      {
        commonName: subject.uri.slice(subject.uri.lastIndexOf('/') + 1),
        uri: subject.uri,
        hosts: subject.dnsNames,
        isServer: subject.dnsNames.length > 0,
        isClient: true,
        validityMs: this.validityMs,
      },
      clock(),
      random,
    )
    return {
      certificatePem: `${certificate.toString('pem')}\n`,
      serial: certificate.serialNumber.toUpperCase(),
      notAfter: certificate.notAfter.toISOString(),
    }
  }

  /** A new certificate for the gateway's own, lasting key. `hosts` are the names and addresses that agents reach it by. */
  async gatewayIdentity(hosts: readonly string[]): Promise<GatewayIdentity> {
    const { clock, random } = this.#options
    const leaf = await signLeaf(
      this.#authority,
      this.#gatewayKeys.publicKey,
      {
        commonName: 'Rehost gateway',
        uri: 'rehost://gateway',
        hosts,
        isServer: true,
        isClient: false,
        validityMs: gatewayValidityMs,
      },
      clock(),
      random,
    )
    return {
      keyPem: await privateKeyPem(this.#gatewayKeys.privateKey),
      certificatePem: `${leaf.toString('pem')}\n${this.caPem}`,
      pin: await publicKeyPin(this.#gatewayKeys.publicKey),
    }
  }
}

const files = { caKey: 'ca.key.pem', caCertificate: 'ca.crt.pem', gatewayKey: 'gateway.key.pem' } as const

async function readAuthority(
  folder: string,
): Promise<{ authority: Authority; gatewayKeys: CryptoKeyPair } | undefined> {
  const read = (name: string) => readFile(join(folder, name), 'utf8')
  let texts: [string, string, string]
  try {
    texts = [await read(files.caKey), await read(files.caCertificate), await read(files.gatewayKey)]
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw new Error(
      `Cannot read the certificate authority in ${folder}; it must belong to the user who runs Rehost`,
      {
        cause: error,
      },
    )
  }
  try {
    const [caKey, caCertificate, gatewayKey] = texts
    return {
      authority: { keys: await readKeyPair(caKey), certificate: readCertificate(caCertificate) },
      gatewayKeys: await readKeyPair(gatewayKey),
    }
  } catch (error) {
    throw new Error(
      `Cannot use the certificate authority in ${folder}: its files are damaged; restore them from a backup`,
      {
        cause: error,
      },
    )
  }
}

/** Makes all files in a folder beside and renames it, so that there is a whole authority or none. Of two racing starts one wins. */
async function makeAuthority({ folder, clock, random }: EmbeddedCaOptions): Promise<void> {
  const parent = join(folder, '..')
  await mkdir(parent, { recursive: true })
  const fresh = await mkdtemp(join(parent, 'ca-new-'))
  try {
    const keys = await newKeyPair(true)
    const certificate = await makeAuthorityCertificate(keys, clock(), random)
    await writeSecretFile(join(fresh, files.caKey), await privateKeyPem(keys.privateKey))
    await writeSecretFile(join(fresh, files.caCertificate), certificate.toString('pem'))
    await writeSecretFile(
      join(fresh, files.gatewayKey),
      await privateKeyPem((await newKeyPair(true)).privateKey),
    )
    await rename(fresh, folder)
  } catch (error) {
    await rm(fresh, { recursive: true, force: true })
    const isTaken =
      error instanceof Error && 'code' in error && (error.code === 'ENOTEMPTY' || error.code === 'EEXIST')
    if (!isTaken) throw new Error(`Cannot make the certificate authority in ${folder}`, { cause: error })
  }
}
