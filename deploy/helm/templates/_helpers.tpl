{{- define "optimizer.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "optimizer.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "optimizer.labels" -}}
{{ include "optimizer.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "optimizer.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "optimizer.environment" -}}
{{- if not (or .Values.database.url .Values.database.existingSecret) -}}
{{- fail "Set database.existingSecret or database.url: the pods share one PostgreSQL." -}}
{{- end -}}
envFrom:
  - configMapRef: {name: {{ include "optimizer.name" . }}}
{{- range .Values.existingSecrets }}
  - secretRef: {name: {{ . }}}
{{- end }}
env:
  - name: DATABASE_URL
    valueFrom:
      secretKeyRef:
        name: {{ default (include "optimizer.name" .) .Values.database.existingSecret }}
        key: {{ .Values.database.key }}
{{- if or .Values.cache.url .Values.cache.existingSecret }}
  - name: CACHE_URL
    valueFrom:
      secretKeyRef:
        name: {{ default (include "optimizer.name" .) .Values.cache.existingSecret }}
        key: {{ .Values.cache.key }}
{{- end }}
{{- end -}}

{{- define "optimizer.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "optimizer.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "optimizer.mounts" -}}
- {name: data, mountPath: /srv/data}
- {name: tmp, mountPath: /tmp}
{{- end -}}

{{- define "optimizer.volumes" -}}
- {name: data, emptyDir: {}}
- {name: tmp, emptyDir: {}}
{{- end -}}
