import { ConfigLanguageService } from "../configs/language-service";
import { ruleIds } from "../rules/registry";

let service: ConfigLanguageService | undefined;

/** Made when it is first needed: it costs some tens of milliseconds that opening a window should not. */
export function configLanguageService(): ConfigLanguageService {
  service ??= new ConfigLanguageService(ruleIds);
  return service;
}
