// Validates custom resources against the schemas of their operators: a JSON array on stdin.
import * as certificates from "@kubernetes-models/cert-manager/cert-manager.io/v1";
import * as externalSecrets from "@kubernetes-models/external-secrets/external-secrets.io/v1";
import * as gateways from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1";
import * as monitoring from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
import { readFileSync } from "node:fs";

const groups = {
  "cert-manager.io/v1": certificates,
  "external-secrets.io/v1": externalSecrets,
  "gateway.networking.k8s.io/v1": gateways,
  "monitoring.coreos.com/v1": monitoring,
};
let failed = 0;
for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  const name = `${object.kind} ${object.metadata.name}`;
  try {
    const Model = groups[object.apiVersion]?.[object.kind];
    if (!Model) throw new Error(`no schema of ${object.apiVersion}`);
    new Model(object).validate();
    console.log(`valid: ${name}`);
  } catch (error) {
    failed = 1;
    console.log(`invalid: ${name}: ${error.message}`);
  }
}
process.exit(failed);
