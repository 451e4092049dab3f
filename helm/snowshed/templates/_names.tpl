{{- define "snowshed.name" -}}
{{- if contains "snowshed" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-snowshed" (.Release.Name | trunc 43 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "snowshed.selector" -}}
app.kubernetes.io/name: snowshed
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "snowshed.labels" -}}
{{ include "snowshed.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end -}}

{{/* Labels of one's own stand beside these: one in the place of the selector's would leave the Deployment without pods. */}}
{{- define "snowshed.podLabels" -}}
{{- $ours := include "snowshed.labels" . | fromYaml -}}
{{- range $name, $_ := .Values.podLabels -}}
{{- if hasKey $ours $name -}}
{{- fail (printf "podLabels: %s is the chart's own, take another name." $name) -}}
{{- end -}}
{{- end -}}
{{- toYaml (merge $ours .Values.podLabels) -}}
{{- end -}}

{{- define "snowshed.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}
