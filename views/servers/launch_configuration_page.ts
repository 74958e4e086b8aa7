/**
 * Changing how a server is launched.
 * @module
 */
import type { LaunchConfiguration, SourceServer } from '../../domain/source_server.ts'
import type { Html } from '../html.ts'
import type { Frame } from '../layout.ts'
import { html, nothing } from '../html.ts'
import { layout } from '../layout.ts'
import { pageHead, problemStrip, saveButtons } from '../parts.ts'

/** The fields as they stand in the form: as stored, or as they were sent and refused. */
export interface LaunchForm {
  name: string
  rightSizing: string
  bootMode: string
  launchDisposition: string
  bootTimeoutSeconds: string
  reachablePorts: string
  httpChecks: string
}

/** The form. */
export interface LaunchConfigurationModel {
  server: SourceServer
  form: LaunchForm
  /** Names the stored settings that the form was made from. */
  version: string
  problem?: string | undefined
}

/** Settings as the form shows them. */
export function formOf(configuration: LaunchConfiguration): LaunchForm {
  return {
    name: configuration.name,
    rightSizing: configuration.rightSizing,
    bootMode: configuration.bootMode,
    launchDisposition: configuration.launchDisposition,
    bootTimeoutSeconds: String(configuration.bootTimeoutSeconds),
    reachablePorts: configuration.reachablePorts.join(', '),
    httpChecks: configuration.httpChecks.map(writeHttpCheck).join('\n'),
  }
}

/** How a check is written in the form: `80 / words that must be there`. */
export function writeHttpCheck(check: LaunchConfiguration['httpChecks'][number]): string {
  return [String(check.port), check.path, ...(check.contains === undefined ? [] : [check.contains])].join(' ')
}

/** The page. */
export function launchConfigurationPage(
  frame: Frame,
  { server, form, version, problem }: LaunchConfigurationModel,
): Html {
  const address = `/servers/${server.sourceServerId}`
  const option = (value: string, label: string, chosen: string) =>
    html`<option value="${value}" ${value === chosen ? html` selected` : nothing}>${label}</option>`
  const body = html`<div class="narrow">
    ${pageHead('Launch settings', { back: { href: address, label: server.sourceProperties.identificationHints.hostname } })}
    ${problem === undefined ? nothing : problemStrip(problem)}
    <form class="card form" method="post" action="${address}/launch-configuration">
      <input type="hidden" name="version" value="${version}" />
      <label class="field"
        ><span>Machine name</span><input name="name" value="${form.name}" maxlength="255" required
      /></label>
      <div class="field-pair">
        <label class="field"
          ><span>Size</span
          ><select name="rightSizing">
            ${option('BASIC', 'Like the source', form.rightSizing)}${option('NONE', 'Given by the target', form.rightSizing)}
          </select></label
        >
        <label class="field"
          ><span>Boot</span
          ><select name="bootMode">
            ${option('USE_SOURCE', 'Like the source', form.bootMode)}${option('LEGACY_BIOS', 'BIOS', form.bootMode)}${option('UEFI', 'UEFI', form.bootMode)}
          </select></label
        >
        <label class="field"
          ><span>After launch</span
          ><select name="launchDisposition">
            ${option('STARTED', 'Started', form.launchDisposition)}${option('STOPPED', 'Left stopped', form.launchDisposition)}
          </select></label
        >
        <label class="field"
          ><span>Seconds a boot may take</span
          ><input
            name="bootTimeoutSeconds"
            type="number"
            min="30"
            max="7200"
            value="${form.bootTimeoutSeconds}"
            required
        /></label>
      </div>
      <label class="field"
        ><span>Ports to reach on the launched machine</span
        ><input
          name="reachablePorts"
          value="${form.reachablePorts}"
          inputmode="numeric"
          aria-describedby="ports-hint"
        /><small id="ports-hint"
          >Separated by commas; the machine is otherwise alone in its network</small
        ></label
      >
      <label class="field"
        ><span>Web pages that must answer</span
        ><textarea name="httpChecks" rows="4" spellcheck="false" aria-describedby="checks-hint">
${form.httpChecks}</textarea
        ><small id="checks-hint"
          >One a line: port, path, and words the page must contain. For example: 80 / Welcome</small
        ></label
      >
      ${saveButtons(address)}
    </form>
  </div>`
  return layout(frame, { title: 'Launch settings', section: 'servers', body })
}
