{{/* The gateway's configuration file: the operator's, and what follows from where it runs. */}}
{{- define "snowshed.config" -}}
{{- if not (dig "server" "open" false .Values.config) -}}
{{- fail "config.server.open: requests are not authenticated yet, so the gateway would serve no other pod. Set it to true if everybody who can reach the Service may use it." -}}
{{- end -}}
{{- $chosen := dict "server" (dict "host" "0.0.0.0") "ops" (dict "host" "0.0.0.0") -}}
{{- $drain := dict "drain_delay" .Values.drain.delay "drain_cap" .Values.drain.cap -}}
{{- $fixed := dict "server" (merge (dict "port" 8080) $drain) "ops" (dict "port" 8081) -}}
{{- toYaml (mergeOverwrite $chosen (deepCopy .Values.config) $fixed) -}}
{{- end -}}

{{/* SIGTERM to the end: the drain, and what it takes to close engines and write the last records. */}}
{{- define "snowshed.grace" -}}
{{- add .Values.drain.delay .Values.drain.cap 10 -}}
{{- end -}}
