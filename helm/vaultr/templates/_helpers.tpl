{{/* The name of everything: `vaultr`, also where two releases of it live side by side. */}}
{{- define "vaultr.fullname" -}}
{{- default (default .Chart.Name .Values.nameOverride) .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of what belongs to one colour. */}}
{{- define "vaultr.coloured" -}}
{{ include "vaultr.fullname" . }}-{{ .Values.colour }}
{{- end -}}

{{- define "vaultr.selector" -}}
app.kubernetes.io/name: {{ include "vaultr.fullname" .root }}
app.kubernetes.io/component: {{ .component }}
vaultr.app/colour: {{ .root.Values.colour }}
{{- end -}}

{{- define "vaultr.labels" -}}
{{ include "vaultr.selector" . }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ default .root.Chart.AppVersion .root.Values.image.tag | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: vaultr
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "vaultr.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* Settings without secrets, as a map of texts. */}}
{{- define "vaultr.settings" -}}
{{- $given := dict -}}
{{- range $name, $value := .Values.settings }}
{{- /* A number of YAML is a float here: 268435456 must not become 2.68435456e+08. */}}
{{- $text := ternary (int64 $value | toString) (toString $value) (kindIs "float64" $value) }}
{{- if ne $text "" }}{{ $_ := set $given $name $text }}{{ end }}
{{- end }}
{{- if not (hasKey $given "BASE_URL") }}{{ $_ := set $given "BASE_URL" (printf "https://%s" .Values.ingress.host) }}{{ end }}
{{- if not (hasKey $given "METRICS_HOST") }}{{ $_ := set $given "METRICS_HOST" "0.0.0.0" }}{{ end }}
{{- if not (hasKey $given "WEB_CONCURRENCY") }}{{ $_ := set $given "WEB_CONCURRENCY" (toString .Values.web.concurrency) }}{{ end }}
{{- toYaml $given -}}
{{- end -}}

{{/* The secrets of every component; whoever signs in to the mail server also has SMTP_PASS. */}}
{{- define "vaultr.secretNames" -}}
{{- $names := list "DATABASE_URL" "REDIS_URL" "JWT_SECRET" "PEPPER" "FACTOR_KEY" "MAIL_KEY" "AUDIT_KEY" -}}
{{- if .root.Values.settings.SMTP_USER }}{{ $names = append $names "SMTP_PASS" }}{{ end -}}
{{- if and (eq .component "worker") .root.Values.worker.checkpointKey }}{{ $names = append $names "CHECKPOINT_KEY" }}{{ end -}}
{{- range .more }}{{ $names = append $names . }}{{ end -}}
{{- join "," $names -}}
{{- end -}}

{{- define "vaultr.secretEnv" -}}
{{- range splitList "," (include "vaultr.secretNames" .) }}
{{- if eq . "BACKUP_IDENTITY" }}
- {name: BACKUP_IDENTITY_FILE, value: /run/secrets/vaultr/BACKUP_IDENTITY}
{{- else }}
- {name: {{ . }}_FILE, value: /run/secrets/vaultr/{{ . }}}
{{- end }}
{{- end }}
{{- end -}}

{{- define "vaultr.volumes" -}}
{{- $migrates := eq .component "migrate" -}}
{{- $key := .root.Values.migration.databaseUrlKey -}}
- name: secrets
  secret:
    secretName: {{ .root.Values.existingSecret }}
    defaultMode: 0440
    items:
      {{- range splitList "," (include "vaultr.secretNames" .) }}
      - {key: {{ if and $migrates (eq . "DATABASE_URL") }}{{ $key }}{{ else }}{{ . }}{{ end }}, path: {{ . }}}
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
{{- end -}}

{{- define "vaultr.mounts" -}}
- {name: secrets, mountPath: /run/secrets/vaultr, readOnly: true}
{{- if .root.Values.certificateAuthorities.configMap }}
- {name: authorities, mountPath: /etc/vaultr/authorities, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
- {name: shm, mountPath: /dev/shm}
{{- end -}}

{{- define "vaultr.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "vaultr.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 10001
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
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

{{/* What a short-lived pod has in common: migration and cron jobs. */}}
{{- define "vaultr.jobPod" -}}
restartPolicy: Never
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "vaultr.podSecurity" . | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: {{ .name }}
    image: {{ include "vaultr.image" .root }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    command: {{ toJson .command }}
    env:
      {{- range $name, $value := include "vaultr.settings" .root | fromYaml }}
      - {name: {{ $name }}, value: {{ $value | quote }}}
      {{- end }}
      {{- include "vaultr.secretEnv" . | nindent 6 }}
    securityContext:
      {{- include "vaultr.containerSecurity" . | nindent 6 }}
    resources:
      {{- toYaml .root.Values.migration.resources | nindent 6 }}
    volumeMounts:
      {{- include "vaultr.mounts" . | nindent 6 }}
      {{- with .claim }}
      - {name: backups, mountPath: /backups}
      {{- end }}
volumes:
  {{- include "vaultr.volumes" . | nindent 2 }}
  {{- with .claim }}
  - name: backups
    persistentVolumeClaim: {claimName: {{ . }}}
  {{- end }}
{{- end -}}
