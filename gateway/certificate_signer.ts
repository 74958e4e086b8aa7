/**
 * Signs documents with the installation's own key, which lies sealed in the store: every gateway signs with the same.
 * @module
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { SignedEnvelope } from '../domain/certificate.ts'
import type { SecretBox } from '../store/secret_box.ts'
import type { Store } from '../store/store.ts'
import { signedText } from '../domain/certificate.ts'
import { RevisionConflictError } from '../store/store.ts'

const settingName = 'signing-key'

/** The key, made by whoever needs it first. */
async function openKey({ store, secretBox }: { store: Store; secretBox: SecretBox }): Promise<KeyObject> {
  const known = await store.get('setting', { id: settingName })
  if (known === undefined) {
    const { privateKey } = generateKeyPairSync('ed25519')
    const der = privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64')
    const setting = { name: settingName, value: secretBox.seal(der, settingName) }
    try {
      await store.create('setting', { id: settingName }, setting)
    } catch (error) {
      // Another gateway made one at the same moment: that is it.
      if (!(error instanceof RevisionConflictError)) throw error
    }
    return openKey({ store, secretBox })
  }
  const der = Buffer.from(secretBox.unseal(known.value.value, settingName), 'base64')
  return createPrivateKey({ key: der, type: 'pkcs8', format: 'der' })
}

/** `document` as JSON, signed. */
export async function signDocument(
  services: { store: Store; secretBox: SecretBox },
  payloadType: string,
  document: object,
): Promise<SignedEnvelope> {
  const key = await openKey(services)
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' })
  const payload = Buffer.from(JSON.stringify(document))
  return {
    payloadType,
    payload: payload.toString('base64'),
    signatures: [
      {
        keyid: `sha256:${createHash('sha256').update(publicKey).digest('hex')}`,
        publicKey: publicKey.toString('base64'),
        sig: sign(null, signedText(payloadType, payload), key).toString('base64'),
      },
    ],
  }
}
