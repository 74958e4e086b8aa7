/**
 * Sending to DynamoDB, with an error that says so where the network is the trouble.
 * @module
 */
import { DynamoDBServiceException } from '@aws-sdk/client-dynamodb'

/** The answer of `send`. @throws Error saying that the store cannot be reached where the network is the trouble. */
export async function reach<T>(send: () => Promise<T>): Promise<T> {
  try {
    return await send()
  } catch (error) {
    const isNetwork = error instanceof Error && ('code' in error || error.name === 'TimeoutError')
    if (!isNetwork || error instanceof DynamoDBServiceException) throw error
    const whatToDo = 'see whether it runs, and where AWS_ENDPOINT_URL_DYNAMODB says'
    throw new Error(`Cannot reach the store; ${whatToDo}`, { cause: error })
  }
}
