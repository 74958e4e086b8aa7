/**
 * What the schemas of answers are made of. They describe: no answer is read with them while the gateway runs. The types of the domain and these schemas
 * are held together by {@link answerOf}, and answers in tests by the document that is made of them.
 * @module
 */
import { z } from 'zod'

/**
 * `T` as JSON sees it: whether somebody may write to it is no matter, an intersection is one object, and a field that can have no value is none: with it the
 * source tells the members of a union apart.
 */
type Plain<T> = T extends string | number | boolean | null | undefined
  ? T
  : T extends readonly (infer Item)[]
    ? Plain<Item>[]
    : { -readonly [Key in keyof T as Exclude<T[Key], undefined> extends never ? never : Key]: Plain<T[Key]> }

/** Whether two types are the same, optional fields included; one that is merely assignable to the other is not. */
type IsSame<One, Other> =
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- two such functions are the same only when the types are
  (<T>() => T extends Plain<One> ? 1 : 2) extends <T>() => T extends Plain<Other> ? 1 : 2 ? true : false

/** The fields in which two types differ: what the compiler shows when they do. */
type FieldsThatDiffer<One, Other> = {
  [Key in keyof One | keyof Other]: [
    Key extends keyof One ? One[Key] : never,
    Key extends keyof Other ? Other[Key] : never,
  ] extends [infer Own, infer Its]
    ? IsSame<Own, Its> extends true
      ? never
      : Key
    : never
}[keyof One | keyof Other]

/**
 * The schema of a type that is written down elsewhere. It does not compile unless both say the same: a field that is added to the type is missing here,
 * one that is taken away is too many, and the error names it.
 */
export function answerOf<T>(): <S extends z.ZodType>(
  schema: IsSame<z.output<S>, T> extends true ? S : { fieldsThatDiffer: FieldsThatDiffer<z.output<S>, T> },
) => S {
  return (schema) => schema as never
}

/** A moment in UTC: `2026-03-01T12:00:00.000Z`. */
export const moment = z.iso.datetime()

/** So many bytes. */
export const bytes = z.int().min(0)

/** So many of something. */
export const count = z.int().min(0)

/** A length of time, or a speed. */
export const amount = z.number().min(0)

/** Percent, where more than a hundred may come. */
export const percent = z.number()

/**
 * What is not told: it is whatever somebody else left. Not told of itself, as JSON could be: generators for TypeScript make of that a type that does not
 * compile.
 */
export const anyJson = z
  .union([
    z.string(),
    z.number(),
    z.boolean(),
    z.null(),
    z.array(z.unknown()),
    z.record(z.string(), z.unknown()),
  ])
  .meta({ id: 'Json', description: 'JSON of any shape' })

/** The id of `what`. Those of machines and replication servers are given by the cloud, so nothing is said of how they are written. */
export function idOf<Id extends string>(what: string): z.ZodType<Id> {
  return z.string().meta({ description: `Id of ${what}` }) as never
}

const nextToken = z.string().meta({ description: 'Asks for the next page; the last one has none' })

/** A page of `item`, and how to ask for the next one. */
export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item), nextToken: nextToken.exactOptional() })
}

/** All there is of `item`. */
export function listOf<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item) })
}
