/** The settings as people read them: the rows of docs/configuration.md and the options of the command line. */
import { envOf, flagOf, type SettingKey, settingKeys, settings } from './settings.ts';

/** A built-in value in words. */
function fallbackText(key: SettingKey): string {
  const { fallback } = settings[key];
  if (fallback === undefined || (Array.isArray(fallback) && fallback.length === 0)) return 'none';
  return `\`${String(fallback)}\``;
}

/** The table of docs/configuration.md, in Markdown; a test keeps the page equal to it. */
export function settingsMarkdown(): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const rows = settingKeys.map((key) => {
    const { allowed, help, placeholder } = settings[key];
    const flag = `\`${flagOf(key)} ${placeholder}\``;
    return [`\`${key}\``, flag, `\`${envOf(key)}\``, fallbackText(key), allowed, help].map(cell).join(' | ');
  });
  const head = ['Key in the file', 'Flag', 'Environment', 'Default', 'Allowed', 'What it is'];
  return [head.join(' | '), head.map(() => '---').join(' | '), ...rows].map((row) => `| ${row} |`).join('\n');
}

/** What a command-line parser needs to offer a setting: `--data-dir <DIR>` and a line of help. */
export function optionOf(key: SettingKey): { flags: string; description: string } {
  const { help, placeholder } = settings[key];
  return {
    flags: `${flagOf(key)} <${placeholder}>`,
    description: `${help} (${envOf(key)}; default: ${fallbackText(key).replaceAll('`', '')})`,
  };
}
