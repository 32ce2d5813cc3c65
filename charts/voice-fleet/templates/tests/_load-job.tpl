{{/* What a Job and a CronJob of load share. */}}

{{- define "voice.loadJob" -}}
{{- $load := .Values.loadTest }}
parallelism: {{ $load.parallelism }}
completions: {{ $load.parallelism }}
backoffLimit: 0
activeDeadlineSeconds: {{ $load.deadlineSeconds }}
ttlSecondsAfterFinished: {{ $load.ttlSeconds }}
template:
  metadata:
    labels:
      {{- include "voice.podLabels" (list . "loadtest" "" dict) | nindent 6 }}
  spec:
    {{- include "voice.clientPod" (list . "loadtest") | nindent 4 }}
    # What was measured until it is stopped is told.
    terminationGracePeriodSeconds: 30
    {{- with include "voice.placement" $load | trim }}{{ . | nindent 4 }}{{ end }}
    containers:
      - name: loadtest
        image: {{ include "voice.image" (list . .Values.images.clients dict) | quote }}
        imagePullPolicy: {{ .Values.images.pullPolicy }}
        securityContext:
          {{- include "voice.containerSecurity" . | nindent 10 }}
        args:
          {{- toYaml (concat (list "loadtest" "--json" "--metrics-port" "9300" "--linger" "60") $load.args) | nindent 10 }}
        env:
          {{- include "voice.clientEnv" (list . $load.apiKey.existingSecret $load.apiKey.key) | nindent 10 }}
        ports:
          - name: metrics
            containerPort: 9300
        resources:
          {{- include "voice.resources" (list $load.resources dict) | nindent 10 }}
{{- end -}}
