{{/* (autoscaling of a pool): how fast it grows and shrinks. */}}
{{- define "voice.behavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  selectPolicy: Max
  policies:
    - type: Percent
      value: {{ .scaleUp.percent }}
      periodSeconds: 60
    - type: Pods
      value: {{ .scaleUp.pods }}
      periodSeconds: 60
scaleDown:
  stabilizationWindowSeconds: {{ .scaleDown.stabilizationSeconds }}
  selectPolicy: Max
  policies:
    - type: Pods
      value: {{ .scaleDown.pods }}
      periodSeconds: {{ .scaleDown.periodSeconds }}
{{- end -}}
