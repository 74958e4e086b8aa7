/**
 * Secrets that must be known again, sealed before they are stored: AES-256-GCM with a key that is not in the store. Whoever reads the store
 * alone, or a backup of it, has none of them; whoever can write to it cannot move one to another name.
 * @module
 */
import { createCipheriv, createDecipheriv } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { RandomBytes } from '../domain/ids.ts'
import { keptSecret } from './kept_secret.ts'

const algorithm = 'aes-256-gcm'

/** Length of the key. */
export const sealingKeyBytes = 32

/** The key as a setting gives it. */
export const sealingKeySchema = z
  .base64()
  .refine((text) => Buffer.from(text, 'base64').length === sealingKeyBytes, {
    error: `${sealingKeyBytes} random bytes in base64, as openssl rand -base64 ${sealingKeyBytes} makes them`,
  })

/** The length that GCM is made for; random ones may be used 2^32 times with one key. */
const nonceBytes = 12
const tagBytes = 16

/** How sealed texts begin, should the algorithm ever change. */
const version = 's1'

/** Seals and opens. */
export class SecretBox {
  readonly #key: Uint8Array
  readonly #random: RandomBytes

  /** @param key of {@link sealingKeyBytes}. @throws TypeError for another length. */
  constructor(key: Uint8Array, random: RandomBytes) {
    if (key.length !== sealingKeyBytes)
      throw new TypeError(`Cannot seal with a key of ${key.length} bytes: it must have ${sealingKeyBytes}`)
    this.#key = key
    this.#random = random
  }

  /**
   * With `key`, else with the one in `folder`, made when it is not there.
   * @throws Error naming the file when what is in it is no key.
   */
  static async open(options: {
    folder: string
    /** In base64. */
    key: string | undefined
    random: RandomBytes
  }): Promise<SecretBox> {
    const { folder, key, random } = options
    if (key !== undefined) return new SecretBox(Buffer.from(key, 'base64'), random)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const file = join(folder, 'sealing-key')
    const kept = await keptSecret(file, () => Buffer.from(random(sealingKeyBytes)).toString('base64'))
    try {
      return new SecretBox(Buffer.from(kept, 'base64'), random)
    } catch (error) {
      throw new Error(
        `Cannot use ${file}: it is damaged; restore it from a backup, or remove it and make every access key, every secret of webhooks and every parameter anew`,
        { cause: error },
      )
    }
  }

  /** `secret`, sealed for `name` alone. */
  seal(secret: string, name: string): string {
    const nonce = this.#random(nonceBytes)
    const cipher = createCipheriv(algorithm, this.#key, nonce).setAAD(Buffer.from(name))
    const sealed = [cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()]
    return `${version}.${Buffer.concat([nonce, ...sealed]).toString('base64url')}`
  }

  /** What was sealed for `name`. @throws Error when it was sealed with another key, for another name, or changed since. */
  unseal(sealed: string, name: string): string {
    try {
      const [found, text = ''] = sealed.split('.', 2)
      if (found !== version) throw new Error(`It is sealed as ${found}, and ${version} is known`)
      const bytes = Buffer.from(text, 'base64url')
      const decipher = createDecipheriv(algorithm, this.#key, bytes.subarray(0, nonceBytes), {
        authTagLength: tagBytes,
      })
      decipher.setAAD(Buffer.from(name)).setAuthTag(bytes.subarray(-tagBytes))
      const secret = decipher.update(bytes.subarray(nonceBytes, -tagBytes))
      return Buffer.concat([secret, decipher.final()]).toString('utf8')
    } catch (error) {
      throw new Error(
        `Cannot open the secret of ${name}: it was sealed with another key than sealing-key of the data folder or REHOST_SEALING_KEY; restore that key, or delete ${name} and make another`,
        { cause: error },
      )
    }
  }
}
