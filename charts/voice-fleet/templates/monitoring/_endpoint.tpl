
{{- define "voice.endpoint" -}}
{{- $root := index . 0 }}
- port: {{ index . 1 }}
  path: /metrics
  interval: {{ $root.Values.monitoring.scrape.interval }}
  relabelings:
    - targetLabel: fleet
      replacement: {{ include "voice.fleet" $root | quote }}
{{- end -}}
