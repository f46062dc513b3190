import type { ConfigLanguageService } from "../configs/language-service";
import { ruleIds } from "../rules/registry";

let service: Promise<ConfigLanguageService> | undefined;

/** Loaded and made when it is first needed: opening a window should not wait for it. */
export function configLanguageService(): Promise<ConfigLanguageService> {
  service ??= import("../configs/language-service").then(
    (module) => new module.ConfigLanguageService(ruleIds),
  );
  return service;
}
