;;; carpo-executions.el --- What is told of executions  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: MIT

;;; Commentary:

;; Executions by id: their states and bounded outputs, as notifications tell of
;; them.  What draws them is called through two variables.

;;; Code:

(require 'carpo-outputs)
(require 'cl-lib)

(defcustom carpo-output-lines 12
  "How many lines of output are shown below a cell."
  :type 'natnum
  :group 'carpo)

(cl-defstruct (carpo-execution (:constructor carpo-execution--make) (:copier nil))
  "An execution on SERVER; STATE is one of the protocol's, as a string."
  id server kernel-id state
  (outputs nil :documentation "The last one first.")
  (skipped 0 :documentation "Lines of outputs that are no longer kept.")
  (clearing nil :documentation "Whether the next output clears those before it.")
  (count nil :documentation "The kernel's execution count.")
  (error nil :documentation "A property list with the ename and more.")
  (milliseconds nil :documentation "How long it took.")
  (prompt nil :documentation "What it asks for, while it waits.")
  (password nil :documentation "Whether that is not to be seen.")
  (overlay nil :documentation "Covers its code.")
  (old nil :documentation "What an earlier run has left, shown until there is something new."))

(defvar carpo-executions (make-hash-table :test #'equal)
  "Executions by id that run, or are drawn in a buffer.")

(defvar carpo-executions-place-function #'ignore
  "Called with a new execution, the URI of its document and its range.
Returns whether there is such a place.")

(defvar carpo-executions-changed-function #'ignore
  "Called with an execution that has changed.")

(defconst carpo-executions--most 120
  "Outputs of an execution that are kept.")

(defun carpo-execution-ended-p (execution)
  "Return non-nil if EXECUTION has ended."
  (member (carpo-execution-state execution) '("ok" "error" "aborted" "died")))

(defun carpo-executions--clear (execution)
  "Forget the outputs of EXECUTION."
  (setf (carpo-execution-outputs execution) nil
        (carpo-execution-skipped execution) 0
        (carpo-execution-clearing execution) nil))

(defun carpo-executions--append (execution raw display-id)
  "Add the output RAW of nbformat with DISPLAY-ID to EXECUTION."
  (when (carpo-execution-clearing execution)
    (carpo-executions--clear execution))
  (let ((last (car (carpo-execution-outputs execution))))
    (if (carpo-outputs-continued-p last raw)
        (carpo-outputs-extend last raw)
      (push (carpo-outputs-new raw carpo-output-lines display-id)
            (carpo-execution-outputs execution))
      (let ((outputs (carpo-execution-outputs execution)))
        (when (> (length outputs) carpo-executions--most)
          ;; Not one of the first, nor one of the last.
          (let ((before (nthcdr (- carpo-executions--most 21) outputs)))
            (cl-incf (carpo-execution-skipped execution) (carpo-outputs-count (cadr before)))
            (setcdr before (cddr before))))))))

(defun carpo-executions--update (execution raw display-id)
  "Replace the outputs of EXECUTION with DISPLAY-ID by RAW."
  (setf (carpo-execution-outputs execution)
        (mapcar (lambda (output)
                  (if (equal (carpo-output-display-id output) display-id)
                      (carpo-outputs-new raw carpo-output-lines display-id)
                    output))
                (carpo-execution-outputs execution))))

(defun carpo-executions-on-output (_server params)
  "Take the PARAMS of a carpo/output."
  (when-let ((execution (gethash (plist-get params :executionId) carpo-executions)))
    (let ((raw (plist-get params :output))
          (display-id (plist-get params :displayId)))
      (pcase (plist-get params :kind)
        ("append" (carpo-executions--append execution raw display-id))
        ("update" (carpo-executions--update execution raw display-id))
        ("clear" (if (plist-get params :wait)
                     (setf (carpo-execution-clearing execution) t)
                   (carpo-executions--clear execution)))))
    (funcall carpo-executions-changed-function execution)))

(defun carpo-executions--new (server params)
  "Return a new execution on SERVER from the PARAMS of a state.
Return nil where it has no place."
  (when-let* ((document (plist-get params :textDocument))
              (range (plist-get params :range)))
    (let ((execution (carpo-execution--make :id (plist-get params :executionId)
                                            :server server
                                            :kernel-id (plist-get params :kernelId)
                                            :state (plist-get params :state))))
      (when (funcall carpo-executions-place-function execution (plist-get document :uri) range)
        (puthash (carpo-execution-id execution) execution carpo-executions)))))

(defun carpo-executions-on-state (server params)
  "Take the PARAMS of a carpo/executionState from SERVER."
  (when-let ((execution (or (gethash (plist-get params :executionId) carpo-executions)
                            (and (equal (plist-get params :state) "queued")
                                 (carpo-executions--new server params)))))
    (setf (carpo-execution-state execution) (plist-get params :state)
          (carpo-execution-count execution) (plist-get params :executionCount)
          (carpo-execution-error execution) (plist-get params :error)
          (carpo-execution-milliseconds execution) (plist-get params :durationMs))
    (unless (equal (plist-get params :state) "waitingInput")
      (setf (carpo-execution-prompt execution) nil))
    (funcall carpo-executions-changed-function execution)))

(defun carpo-executions-server-gone (server)
  "End the executions of SERVER, which is no more."
  (dolist (execution (hash-table-values carpo-executions))
    (when (and (eq (carpo-execution-server execution) server)
               (not (carpo-execution-ended-p execution)))
      (setf (carpo-execution-state execution) "died"
            (carpo-execution-prompt execution) nil)
      (funcall carpo-executions-changed-function execution))))

(defun carpo-executions-lines (execution)
  "Return what is shown of the outputs of EXECUTION, as lines."
  (let* ((outputs (reverse (carpo-execution-outputs execution)))
         (total (+ (carpo-execution-skipped execution)
                   (apply #'+ (mapcar #'carpo-outputs-count outputs))))
         (most carpo-output-lines))
    (if (<= total most)
        (carpo-outputs-head outputs total)
      (let* ((last (/ (1- most) 2))
             (first (- most 1 last)))
        (append (carpo-outputs-head outputs first)
                (list (propertize (format "⋯ %d more lines, M-x carpo-show-output shows them"
                                          (- total first last))
                                  'face 'carpo-note))
                (carpo-outputs-tail outputs last))))))

(provide 'carpo-executions)
;;; carpo-executions.el ends here
