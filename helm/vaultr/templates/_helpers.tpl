{{/* The base of all names: `vaultr`, even if two releases run side by side. */}}
{{- define "vaultr.fullname" -}}
{{- default (default .Chart.Name .Values.nameOverride) .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of objects of one colour. */}}
{{- define "vaultr.coloured" -}}
{{ include "vaultr.fullname" . }}-{{ .Values.colour }}
{{- end -}}

{{/* The selector of a component; objects that both colours share belong to none. */}}
{{- define "vaultr.selector" -}}
app.kubernetes.io/name: {{ include "vaultr.fullname" .root }}
app.kubernetes.io/component: {{ .component }}
{{- if and (not .shared) (has .component (list "web" "worker" "migrate")) }}
vaultr.app/colour: {{ .root.Values.colour }}
{{- end }}
{{- end -}}

{{/* The version that runs: the digest if it is set, otherwise the tag. */}}
{{- define "vaultr.version" -}}
{{- with .Values.image.digest }}{{ . | replace ":" "-" | trunc 19 }}{{ else }}{{ .Values.image.tag }}{{ end -}}
{{- end -}}

{{/* The labels of an object. Labels of the user never replace labels of the selector. */}}
{{- define "vaultr.labels" -}}
{{- $own := dict
  "app.kubernetes.io/instance" .root.Release.Name
  "app.kubernetes.io/version" (include "vaultr.version" .root | trunc 63 | trimAll "-_.")
  "app.kubernetes.io/managed-by" .root.Release.Service
  "app.kubernetes.io/part-of" "vaultr"
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version)
-}}
{{- toYaml (merge (include "vaultr.selector" . | fromYaml) (.labels | default dict) $own .root.Values.commonLabels) -}}
{{- end -}}

{{/* Name, namespace, labels and annotations of an object: root, component, name, labels, annotations. */}}
{{- define "vaultr.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "vaultr.labels" . | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "vaultr.image" -}}
{{- $registry := coalesce .Values.global.imageRegistry .Values.image.registry -}}
{{- with $registry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* All hosts that users type; BASE_URL has the first one by default. */}}
{{- define "vaultr.hosts" -}}
{{- $hosts := list -}}
{{- if .Values.ingress.enabled }}{{ $hosts = append $hosts .Values.ingress.host }}{{ end -}}
{{- if .Values.httpRoute.enabled }}{{ $hosts = concat $hosts .Values.httpRoute.hosts }}{{ end -}}
{{- if .Values.ingress.enabled }}{{ range .Values.ingress.extraHosts }}{{ $hosts = append $hosts .host }}{{ end }}{{ end -}}
{{- join "," (uniq $hosts) -}}
{{- end -}}

{{/* Settings without secrets, as a map of texts. */}}
{{- define "vaultr.settings" -}}
{{- $found := dict -}}
{{- range $name, $value := .Values.settings }}
{{- /* YAML numbers are floats here: 268435456 must not become 2.68435456e+08. */}}
{{- $text := ternary (int64 $value | toString) (toString $value) (kindIs "float64" $value) }}
{{- if ne $text "" }}{{ $_ := set $found $name $text }}{{ end }}
{{- end }}
{{- $hosts := splitList "," (include "vaultr.hosts" .) }}
{{- if not (hasKey $found "BASE_URL") }}{{ $_ := set $found "BASE_URL" (printf "https://%s" (first $hosts)) }}{{ end }}
{{- /* The server accepts the host of BASE_URL without a setting. */}}
{{- with without $hosts "" (get $found "BASE_URL" | trimPrefix "https://") }}
{{- $given := get $found "ALLOWED_HOSTS" | default "" }}
{{- $_ := set $found "ALLOWED_HOSTS" (join "," (compact (prepend . $given))) }}
{{- end }}
{{- if not (hasKey $found "METRICS_HOST") }}{{ $_ := set $found "METRICS_HOST" "0.0.0.0" }}{{ end }}
{{- if not (hasKey $found "WEB_CONCURRENCY") }}{{ $_ := set $found "WEB_CONCURRENCY" (toString .Values.web.concurrency) }}{{ end }}
{{- if not (hasKey $found "WEB_THREADS") }}{{ $_ := set $found "WEB_THREADS" (toString .Values.web.threads) }}{{ end }}
{{- toYaml $found -}}
{{- end -}}

{{/* The secrets of every component; with SMTP_USER also SMTP_PASS. */}}
{{- define "vaultr.secretNames" -}}
{{- $names := list "DATABASE_URL" "REDIS_URL" "JWT_SECRET" "PEPPER" "FACTOR_KEY" "MAIL_KEY" "AUDIT_KEY" -}}
{{- if .root.Values.settings.SMTP_USER }}{{ $names = append $names "SMTP_PASS" }}{{ end -}}
{{- range .more }}{{ $names = append $names . }}{{ end -}}
{{- join "," $names -}}
{{- end -}}

{{- define "vaultr.secretEnv" -}}
{{- range splitList "," (include "vaultr.secretNames" .) }}
- {name: {{ . }}_FILE, value: /run/secrets/vaultr/{{ . }}}
{{- end }}
{{- end -}}

{{- define "vaultr.volumes" -}}
{{- /* Migration and sequencer use separate database roles. */}}
{{- $key := .own.databaseUrlKey | default "DATABASE_URL" -}}
- name: secrets
  secret:
    secretName: {{ .root.Values.existingSecret }}
    defaultMode: 0440
    items:
      {{- range splitList "," (include "vaultr.secretNames" .) }}
      - {key: {{ ternary $key . (eq . "DATABASE_URL") }}, path: {{ . }}}
      {{- end }}
{{- with .root.Values.certificateAuthorities.configMap }}
- name: authorities
  configMap:
    name: {{ . }}
    defaultMode: 0444
    items: [{key: {{ $.root.Values.certificateAuthorities.key }}, path: ca.crt}]
{{- end }}
- name: tmp
  emptyDir: {medium: Memory, sizeLimit: 128Mi}
- name: shm
  emptyDir: {medium: Memory, sizeLimit: 64Mi}
{{- with .claim }}
- name: backups
  persistentVolumeClaim: {claimName: {{ . }}}
{{- end }}
{{- if eq .component "sequencer" }}
- name: state
  {{- if .own.persistentVolumeClaim }}
  persistentVolumeClaim: {claimName: {{ .own.persistentVolumeClaim }}}
  {{- else }}
  # The newest checkpoint is read from the bucket of AUDIT_ANCHORS.
  emptyDir: {sizeLimit: 1Mi}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "vaultr.mounts" -}}
- {name: secrets, mountPath: /run/secrets/vaultr, readOnly: true}
{{- if .root.Values.certificateAuthorities.configMap }}
- {name: authorities, mountPath: /etc/vaultr/authorities, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
- {name: shm, mountPath: /dev/shm}
{{- with .claim }}
- {name: backups, mountPath: /backups}
{{- end }}
{{- if eq .component "sequencer" }}
- {name: state, mountPath: /var/lib/vaultr}
{{- end }}
{{- end -}}

{{- define "vaultr.spread" -}}
{{- $selector := include "vaultr.selector" . -}}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- $selector | nindent 6 }}
{{- end }}
{{- end -}}

{{/*
Put the values of a pod into .pod: the values of the workload (.own) over the values for all workloads.
Lists are added, maps are merged, and other values of the workload replace the others.
*/}}
{{- define "vaultr.prepare" -}}
{{- $all := .root.Values -}}
{{- $own := .own | default dict -}}
{{- $pod := dict -}}
{{- range $name := list "extraEnv" "extraEnvFrom" "extraVolumes" "extraVolumeMounts" "initContainers" "sidecars" "hostAliases" "tolerations" -}}
{{- $_ := set $pod $name (concat (get $all $name | default list) (get $own $name | default list)) -}}
{{- end -}}
{{- range $name := list "podLabels" "podAnnotations" "nodeSelector" "podSecurityContext" "containerSecurityContext" -}}
{{- $_ := set $pod $name (merge (dict) (deepCopy (get $own $name | default dict)) (deepCopy (get $all $name | default dict))) -}}
{{- end -}}
{{- range $name := list "affinity" "topologySpreadConstraints" "dnsConfig" "priorityClassName" "terminationGracePeriodSeconds" "resources" -}}
{{- $_ := set $pod $name (get $own $name | default (get $all $name)) -}}
{{- end -}}
{{- $_ := set . "pod" $pod -}}
{{- end -}}

{{/* Put the gateway's own token, callers, certificate and sealed copies into .part.pod. */}}
{{- define "vaultr.prepareGateway" -}}
{{- $root := .part.root -}}
{{- $own := .part.own -}}
{{- $pod := .part.pod -}}
{{- $env := list (dict "name" "VAULTR_URL" "value" .url) (dict "name" "VAULTR_TOKEN_FILE" "value" "/run/secrets/gateway/VAULTR_TOKEN") (dict "name" "VAULTR_DIR" "value" "/var/lib/vaultr/copies") -}}
{{- with $own.caFile }}{{ $env = append $env (dict "name" "VAULTR_CA_FILE" "value" .) }}{{ end -}}
{{- $secret := dict "secretName" $own.existingSecret "defaultMode" 288 "items" (list (dict "key" "VAULTR_TOKEN" "path" "VAULTR_TOKEN") (dict "key" "callers.json" "path" "callers.json")) -}}
{{- $tls := dict "secretName" $own.tlsSecretName "defaultMode" 288 "items" (list (dict "key" "tls.crt" "path" "tls.crt") (dict "key" "tls.key" "path" "tls.key")) -}}
{{- $volumes := list (dict "name" "gateway" "secret" $secret) (dict "name" "gateway-tls" "secret" $tls) (dict "name" "copies" "emptyDir" (dict "sizeLimit" "1Gi")) -}}
{{- $mounts := list (dict "name" "gateway" "mountPath" "/run/secrets/gateway" "readOnly" true) (dict "name" "gateway-tls" "mountPath" "/run/secrets/gateway-tls" "readOnly" true) (dict "name" "copies" "mountPath" "/var/lib/vaultr") -}}
{{- with $root.Values.certificateAuthorities.configMap -}}
{{- $items := list (dict "key" $root.Values.certificateAuthorities.key "path" "ca.crt") -}}
{{- $volumes = append $volumes (dict "name" "authorities" "configMap" (dict "name" . "defaultMode" 292 "items" $items)) -}}
{{- $mounts = append $mounts (dict "name" "authorities" "mountPath" "/etc/vaultr/authorities" "readOnly" true) -}}
{{- end -}}
{{- $_ := set $pod "extraEnv" (concat $env $pod.extraEnv) -}}
{{- $_ := set $pod "extraVolumes" (concat $volumes $pod.extraVolumes) -}}
{{- $_ := set $pod "extraVolumeMounts" (concat $mounts $pod.extraVolumeMounts) -}}
{{- end -}}

{{- define "vaultr.serviceAccount" -}}
{{- coalesce .Values.serviceAccount.name (ternary (include "vaultr.coloured" .) (include "vaultr.fullname" .) .Values.web.enabled) -}}
{{- end -}}

{{/* Labels and annotations of a pod; call vaultr.prepare first. */}}
{{- define "vaultr.podMetadata" -}}
labels:
  {{- $labels := merge (dict) (.podLabels | default dict) .pod.podLabels }}
  {{- include "vaultr.labels" (dict "root" .root "component" .component "labels" $labels) | nindent 2 }}
{{- $sums := dict -}}
{{- $reads := and .longLived (not .withoutSecrets) -}}
{{- if $reads }}{{ $_ := set $sums "checksum/settings" (include "vaultr.settings" .root | sha256sum) }}{{ end -}}
{{- if and $reads .root.Values.secretsChecksum }}{{ $_ := set $sums "checksum/secrets" .root.Values.secretsChecksum }}{{ end -}}
{{- with merge (dict) (.podAnnotations | default dict) $sums .pod.podAnnotations .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The fields of a pod that surround its main container; call vaultr.prepare first. */}}
{{- define "vaultr.podFields" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .pod.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat .root.Values.global.imagePullSecrets .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $name := list "priorityClassName" "nodeSelector" "tolerations" "affinity" "dnsConfig" "hostAliases" }}
{{- with get $.pod $name }}
{{ $name }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- if .pod.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml .pod.topologySpreadConstraints | nindent 2 }}
{{- else if .longLived }}
topologySpreadConstraints:
  {{- include "vaultr.spread" . | nindent 2 }}
{{- end }}
{{- if or .pod.sidecars .pod.initContainers }}
initContainers:
  # Native sidecars: they start first, and a Job ends without them.
  {{- range .pod.sidecars }}
  - {{- toYaml (merge (dict "restartPolicy" "Always") .) | nindent 4 }}
  {{- end }}
  {{- with .pod.initContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- if or (not .withoutSecrets) .pod.extraVolumes }}
volumes:
  {{- if not .withoutSecrets }}
  {{- include "vaultr.volumes" . | nindent 2 }}
  {{- end }}
  {{- with .pod.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The fields of a main container that do not depend on its kind; call vaultr.prepare first. */}}
{{- define "vaultr.containerFields" -}}
{{- /* A release without web pods has no ConfigMap, so shared objects contain the settings. */}}
{{- $configMap := and .longLived (not .withoutSecrets) (ne .component "sequencer") -}}
image: {{ include "vaultr.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- with .command }}
command: {{ toJson . }}
{{- end }}
{{- if or $configMap .pod.extraEnvFrom }}
envFrom:
  {{- if $configMap }}
  - configMapRef: {name: {{ include "vaultr.coloured" .root }}}
  {{- end }}
  {{- with .pod.extraEnvFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- if or (not .withoutSecrets) .pod.extraEnv }}
env:
  {{- if not .withoutSecrets }}
  {{- if not $configMap }}
  {{- range $name, $value := include "vaultr.settings" .root | fromYaml }}
  - {name: {{ $name }}, value: {{ $value | quote }}}
  {{- end }}
  {{- end }}
  {{- include "vaultr.secretEnv" . | nindent 2 }}
  {{- if eq .component "sequencer" }}
  - {name: AUDIT_STATE_FILE, value: /var/lib/vaultr/audit-state}
  {{- end }}
  {{- end }}
  {{- with .pod.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- with .pod.containerSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml .pod.resources | nindent 2 }}
{{- if or (not .withoutSecrets) .pod.extraVolumeMounts }}
volumeMounts:
  {{- if not .withoutSecrets }}
  {{- include "vaultr.mounts" . | nindent 2 }}
  {{- end }}
  {{- with .pod.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Annotations with which Reloader restarts a workload when its Secret or authorities change. */}}
{{- define "vaultr.reloader" -}}
{{- $found := dict -}}
{{- if .root.Values.reloader.enabled -}}
{{- $_ := set $found "secret.reloader.stakater.com/reload" .root.Values.existingSecret -}}
{{- with .root.Values.certificateAuthorities.configMap }}{{ $_ := set $found "configmap.reloader.stakater.com/reload" . }}{{ end -}}
{{- end -}}
{{- toYaml (merge (dict) $found .own.annotations) -}}
{{- end -}}

{{/* Peers of a NetworkPolicy: a string is a CIDR, anything else is a peer in Kubernetes' format. */}}
{{- define "vaultr.peers" -}}
{{- range . }}
{{- if kindIs "string" . }}
- ipBlock: {cidr: {{ . | quote }}}
{{- else }}
- {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Connections to PostgreSQL, as vaultr/ops/doctor/connections.py computes them: usual, release. */}}
{{- define "vaultr.connections" -}}
{{- $settings := include "vaultr.settings" . | fromYaml -}}
{{- $threads := int $settings.WEB_THREADS -}}
{{- $process := add (min $threads 16) (min (add $threads 1) 16) -}}
{{- $pods := int (ternary .Values.autoscaling.maxReplicas .Values.replicaCount .Values.autoscaling.enabled) -}}
{{- $colour := add (mul $pods (add (mul (int $settings.WEB_CONCURRENCY) $process) 1)) 4 -}}
{{ add $colour 4 }},{{ add (mul 2 $colour) 4 2 }}
{{- end -}}
