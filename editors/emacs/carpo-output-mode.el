;;; carpo-output-mode.el --- Whole outputs in a buffer  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: MIT

;;; Commentary:

;; The server holds all of an output, so that Emacs need not: it is asked for
;; when the buffer is shown, and again by `revert-buffer' and when the execution
;; ends.

;;; Code:

(require 'carpo-cells)
(require 'carpo-client)
(require 'carpo-executions)
(require 'carpo-outputs)
(require 'seq)

(defvar-local carpo-output-mode--execution nil
  "The execution whose output is shown.")

(define-derived-mode carpo-output-mode special-mode "Output"
  "Shows all output of some code.

\\{carpo-output-mode-map}"
  (setq-local revert-buffer-function #'carpo-output-mode--revert)
  (setq-local truncate-lines t))

(defun carpo-output-mode--revert (&rest _)
  "Ask for the output anew."
  (let ((execution carpo-output-mode--execution)
        (buffer (current-buffer)))
    (carpo-client-request
     (carpo-execution-server execution) 'carpo/outputs
     (list :executionId (carpo-execution-id execution))
     (lambda (result)
       (when (buffer-live-p buffer)
         (with-current-buffer buffer
           (carpo-output-mode--insert
            (mapcar (lambda (raw) (carpo-outputs-new raw nil))
                    (plist-get (car (plist-get result :executions)) :outputs)))))))))

(defun carpo-output-mode--insert (outputs)
  "Show OUTPUTS in the buffer, where point stays in its line."
  (let ((inhibit-read-only t)
        (line (line-number-at-pos))
        (execution carpo-output-mode--execution))
    (erase-buffer)
    (insert (propertize (carpo-cells-label execution) 'face 'carpo-note) "\n")
    (dolist (output outputs)
      (dolist (shown (carpo-outputs-head (list output) (carpo-outputs-count output)))
        (insert shown "\n")))
    (goto-char (point-min))
    (forward-line (1- line))))

(defun carpo-output-show (execution)
  "Show all output of EXECUTION in a buffer."
  (let ((buffer (get-buffer-create
                 (format "*carpo output: %s*"
                         (buffer-name (overlay-buffer (carpo-execution-overlay execution)))))))
    (with-current-buffer buffer
      (carpo-output-mode)
      (setq carpo-output-mode--execution execution)
      (carpo-output-mode--revert))
    (pop-to-buffer buffer)))

(defun carpo-output-mode--on-end (execution)
  "Show the rest of EXECUTION, which has ended, where its output is shown."
  (dolist (buffer (buffer-list))
    (when (eq (buffer-local-value 'carpo-output-mode--execution buffer) execution)
      (with-current-buffer buffer
        (carpo-output-mode--revert)))))

(add-hook 'carpo-execution-ended-functions #'carpo-output-mode--on-end)

(provide 'carpo-output-mode)
;;; carpo-output-mode.el ends here
