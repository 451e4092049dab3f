{{/* "keys" if callers need a key, "jwt" if they need a token. */}}
{{- define "snowshed.auth" -}}
{{- dig "auth" "kind" "none" .Values.config -}}
{{- end -}}

{{/* The gateway's configuration file: the operator's, and what follows from where it runs. */}}
{{- define "snowshed.config" -}}
{{- $keys := eq (include "snowshed.auth" .) "keys" -}}
{{- if and (eq (include "snowshed.auth" .) "none") (not (dig "server" "open" false .Values.config)) -}}
{{- fail "config.auth.kind: none, so the gateway would serve no other pod. Ask for keys with auth.kind: keys, for tokens with auth.kind: jwt, or set config.server.open to true if everybody who can reach the Service may use it." -}}
{{- end -}}
{{- if and $keys (not (dig "auth" "database" "" .Values.config)) -}}
{{- fail "config.auth.database: is required, as in {env: DATABASE_URL}. Pods keep no file, so tenants and keys need a PostgreSQL database." -}}
{{- end -}}
{{- if and $keys (dig "auth" "database" "env" "" .Values.config) (not .Values.secret.name) -}}
{{- fail "secret.name: is required, for config.auth.database is an environment variable, which only that Secret can set." -}}
{{- end -}}
{{- $everywhere := dict "host" (dig "server" "host" "0.0.0.0" .Values.config) -}}
{{- $chosen := dict "server" $everywhere "ops" (deepCopy $everywhere) -}}
{{- $drain := dict "drain_delay" .Values.drain.delay "drain_cap" .Values.drain.cap -}}
{{- $fixed := dict "server" (merge (dict "port" 8080) $drain) "ops" (dict "port" 8081) -}}
{{- toYaml (mergeOverwrite $chosen (deepCopy .Values.config) $fixed) -}}
{{- end -}}

{{/* SIGTERM to the end: the drain, and what it takes to close engines and write the last records. */}}
{{- define "snowshed.grace" -}}
{{- add .Values.drain.delay .Values.drain.cap 10 -}}
{{- end -}}
