;;; carpo-prompts.el --- Input that code waits for  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: MIT

;;; Commentary:

;; One prompt at a time is in the minibuffer, and none while it is used for
;; something else.

;;; Code:

(require 'carpo-client)
(require 'carpo-executions)
(require 'seq)
(require 'subr-x)

(defvar carpo-prompts--waiting nil
  "Executions whose prompts have not been shown.")

(defvar carpo-prompts--reading nil
  "Non-nil while a prompt is in the minibuffer.")

(defun carpo-prompts--read (execution)
  "Return what the user answers to EXECUTION, nil if they leave."
  (let ((prompt (if (string-empty-p (carpo-execution-prompt execution))
                    "Input: "
                  (carpo-execution-prompt execution)))
        (carpo-prompts--reading t))
    (condition-case nil
        (if (carpo-execution-password execution) (read-passwd prompt) (read-string prompt))
      (quit nil))))

(defun carpo-prompts--show ()
  "Ask what code waits for, unless the minibuffer is used."
  (cond (carpo-prompts--reading nil)
        ((active-minibuffer-window)
         (add-hook 'minibuffer-exit-hook #'carpo-prompts--later))
        (t
         (while carpo-prompts--waiting
           (let ((execution (pop carpo-prompts--waiting)))
             (when (carpo-execution-prompt execution)
               (carpo-prompts--answer execution (carpo-prompts--read execution))))))))

(defun carpo-prompts--later ()
  "Ask what code waits for, but not now."
  (remove-hook 'minibuffer-exit-hook #'carpo-prompts--later)
  (run-at-time 0 nil #'carpo-prompts--show))

(defun carpo-prompts--answer (execution value)
  "Answer the prompt of EXECUTION with VALUE; nil is no answer."
  (cond ((not (carpo-execution-prompt execution))
         (message "carpo: the code no longer waits for input."))
        (value
         (carpo-client-request (carpo-execution-server execution) 'carpo/stdin
                               (list :kernelId (carpo-execution-kernel-id execution)
                                     :executionId (carpo-execution-id execution)
                                     :value value)))
        (t (message "carpo: the code still waits.  M-x carpo-answer asks again, \
M-x carpo-interrupt ends it."))))

(defun carpo-prompts-on-input (_server params)
  "Take the PARAMS of a carpo/inputRequest."
  (when-let ((execution (gethash (plist-get params :executionId) carpo-executions)))
    (setf (carpo-execution-prompt execution) (or (plist-get params :prompt) "")
          (carpo-execution-password execution) (plist-get params :password))
    (setq carpo-prompts--waiting (append carpo-prompts--waiting (list execution)))
    (carpo-prompts--later)))

(defun carpo-prompts-ask ()
  "Ask again for what code waits for, that of the current buffer first."
  (let* ((all (seq-filter #'carpo-execution-prompt (hash-table-values carpo-executions)))
         (here (seq-find (lambda (execution)
                           (eq (overlay-buffer (carpo-execution-overlay execution))
                               (current-buffer)))
                         all))
         (execution (or here (car all))))
    (unless execution
      (user-error "Carpo: no code waits for input"))
    (carpo-prompts--answer execution (carpo-prompts--read execution))))

(provide 'carpo-prompts)
;;; carpo-prompts.el ends here
