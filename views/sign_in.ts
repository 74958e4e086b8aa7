/**
 * The sign-in page.
 * @module
 */
import type { Html } from './html.ts'
import type { Frame } from './layout.ts'
import { html, nothing } from './html.ts'
import { layout, logo } from './layout.ts'
import { problemStrip } from './parts.ts'

/** What went wrong, and whom to greet. */
export interface SignInModel {
  userName: string
  /** Where to go afterwards: a path of this site. */
  next: string
  problem?: string | undefined
}

/** The page. */
export function signInPage(frame: Frame, model: SignInModel): Html {
  const body = html`<div class="sign-in">
    <div class="sign-in-brand">${logo()}<span>Rehost</span></div>
    <form class="card sign-in-card" method="post" action="/sign-in">
      <h1>Sign in</h1>
      <p class="muted">Move running servers to a cloud without changing them.</p>
      ${model.problem === undefined ? nothing : problemStrip(model.problem)}
      <input type="hidden" name="next" value="${model.next}" />
      <label class="field"
        ><span>User name</span
        ><input
          name="userName"
          value="${model.userName}"
          autocomplete="username"
          autocapitalize="none"
          spellcheck="false"
          required
          ${model.userName === '' ? html`autofocus` : nothing}
      /></label>
      <label class="field"
        ><span>Password</span
        ><input
          name="password"
          type="password"
          autocomplete="current-password"
          required${model.userName === '' ? nothing : html` autofocus`}
      /></label>
      <button class="button primary wide" type="submit">Sign in</button>
    </form>
    <p class="muted sign-in-hint">The first password was shown when Rehost was started.</p>
  </div>`
  return layout(frame, { title: 'Sign in', section: 'none', body })
}
