;;; carpo-cells.el --- Results below their cells  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: MIT

;;; Commentary:

;; An overlay covers the code of each execution, moves with it, and goes when
;; the code does.  The state and the outputs stand behind the last line of the
;; code, as the overlay's after-string.
;;
;; Nothing here runs while text is typed, but at the very end of some code.
;; What kernels send is drawn twenty times a second at the most.

;;; Code:

(require 'carpo-client)
(require 'carpo-executions)
(require 'cl-lib)
(require 'seq)
(require 'subr-x)

(defcustom carpo-output-columns 400
  "How many characters of a line are shown below a cell."
  :type 'natnum
  :group 'carpo)

(defface carpo-queued '((t :inherit shadow))
  "States of code that has not been run."
  :group 'carpo)

(defface carpo-running '((t :inherit font-lock-keyword-face))
  "States of code that runs."
  :group 'carpo)

(defface carpo-done '((t :inherit success :weight normal))
  "States of code that has been run."
  :group 'carpo)

(defface carpo-failed '((t :inherit error :weight normal))
  "States of code that has failed."
  :group 'carpo)

(when (fboundp 'define-fringe-bitmap)
  (define-fringe-bitmap 'carpo-bar [#b00011000] nil nil '(center t)))

(defconst carpo-cells--interval 0.05
  "Seconds until a change is drawn.")

(defconst carpo-cells--soon 0.01
  "Seconds until what has ended is drawn: it is waited for.")

(defvar carpo-cells--changed nil
  "Executions that have changed since they were drawn.")

(defvar carpo-cells--timer nil
  "Draws what has changed.")

(defvar carpo-cells--due 0.0
  "When that is.")

(defun carpo-cells--face (execution)
  "Return the face for the state of EXECUTION."
  (pcase (carpo-execution-state execution)
    ((or "running" "waitingInput") 'carpo-running)
    ("ok" 'carpo-done)
    ((or "error" "died") 'carpo-failed)
    (_ 'carpo-queued)))

(defun carpo-cells--duration (milliseconds)
  "Return MILLISECONDS, or nil, in words that begin with a blank."
  (cond ((null milliseconds) "")
        ((< milliseconds 1000) (format " %d ms" milliseconds))
        ((< milliseconds 60000) (format " %.1f s" (/ milliseconds 1000.0)))
        (t (let ((seconds (round milliseconds 1000)))
             (format " %d min %d s" (/ seconds 60) (% seconds 60))))))

(defun carpo-cells-label (execution)
  "Return the words for the state of EXECUTION."
  (let ((count (if-let ((count (carpo-execution-count execution))) (format " [%d]" count) ""))
        (took (carpo-cells--duration (carpo-execution-milliseconds execution)))
        (name (plist-get (carpo-execution-error execution) :ename)))
    (pcase (carpo-execution-state execution)
      ("queued" "○ queued")
      ("running" "● running")
      ("waitingInput" "? waits for input")
      ("aborted" "– not run")
      ("died" "† the kernel died")
      ("ok" (concat "✓" count took))
      (_ (concat "✗ " (if (member name '(nil "")) "error" name) count took)))))

(defun carpo-cells--after (execution)
  "Return what stands behind the code of EXECUTION."
  (let* ((face (carpo-cells--face execution))
         (bar (propertize "▏ " 'face face))
         (label (propertize (carpo-cells-label execution) 'face face))
         (below (mapconcat (lambda (line)
                             (concat "\n" bar
                                     (truncate-string-to-width line carpo-output-columns)))
                           (carpo-executions-lines execution) "")))
    (if (and (string-empty-p below) (not (carpo-execution-ended-p execution)))
        ;; Or the text below would jump up and down with each run.
        (setq below (or (carpo-execution-old execution) ""))
      (setf (carpo-execution-old execution) nil))
    (overlay-put (carpo-execution-overlay execution) 'carpo-below below)
    ;; With `cursor', the cursor at the end of the line stands before all this.
    (concat (propertize " " 'cursor t) " " label below)))

(defun carpo-cells--draw (execution)
  "Draw EXECUTION where its code is now."
  (when-let* ((overlay (carpo-execution-overlay execution))
              (buffer (overlay-buffer overlay)))
    (overlay-put overlay 'after-string (carpo-cells--after execution))
    (when (get 'carpo-bar 'fringe)
      (overlay-put overlay 'before-string
                   (propertize " " 'display
                               `(left-fringe carpo-bar ,(carpo-cells--face execution)))))
    (when (carpo-execution-ended-p execution)
      (with-current-buffer buffer
        (run-hook-with-args 'carpo-execution-ended-functions execution)))))

(defvar carpo-execution-ended-functions nil
  "Functions that are called with an execution when it has ended and is drawn.
They are called in the buffer of its code.  `carpo-execution-state' and
the like tell more.")

(defun carpo-cells-flush ()
  "Draw what has changed."
  (let ((changed (nreverse carpo-cells--changed)))
    (setq carpo-cells--changed nil
          carpo-cells--timer nil)
    (mapc #'carpo-cells--draw changed)))

(defun carpo-cells--touch (execution)
  "Draw EXECUTION soon, with whatever comes until then."
  (cl-pushnew execution carpo-cells--changed)
  (let* ((wait (if (carpo-execution-ended-p execution)
                   carpo-cells--soon
                 carpo-cells--interval))
         (due (+ (float-time) wait)))
    (when (and carpo-cells--timer (< due carpo-cells--due))
      (cancel-timer carpo-cells--timer)
      (setq carpo-cells--timer nil))
    (unless carpo-cells--timer
      (setq carpo-cells--due due
            carpo-cells--timer (run-at-time wait nil #'carpo-cells-flush)))))

(defun carpo-cells--of (buffer)
  "Return the executions that are shown in BUFFER."
  (with-current-buffer buffer
    (save-restriction
      (widen)
      (delq nil (mapcar (lambda (overlay) (overlay-get overlay 'carpo-execution))
                        (overlays-in (point-min) (point-max)))))))

(defun carpo-cells--remove (execution)
  "Forget EXECUTION and what is drawn of it."
  (delete-overlay (carpo-execution-overlay execution))
  (remhash (carpo-execution-id execution) carpo-executions))

(defun carpo-cells--sweep ()
  "Forget executions that have ended and whose code is gone."
  (dolist (execution (hash-table-values carpo-executions))
    (unless (or (overlay-buffer (carpo-execution-overlay execution))
                (not (carpo-execution-ended-p execution)))
      (carpo-cells--remove execution))))

(defun carpo-cells--on-append (overlay after begin end &optional _length)
  "Keep lines out of OVERLAY that were typed behind its code.
AFTER is non-nil after the change, when the text is between BEGIN and END."
  (when after
    (save-excursion
      (goto-char begin)
      (move-overlay overlay (overlay-start overlay) (min end (line-end-position))))))

(defun carpo-cells--buffer (server uri)
  "Return the buffer of the document URI of SERVER."
  (seq-find (lambda (buffer)
              (with-current-buffer buffer
                (and (bound-and-true-p carpo-mode)
                     (eq (carpo-client-server) server)
                     (equal (carpo-client-uri server) uri))))
            (buffer-list)))

(defun carpo-cells--cover (execution first last)
  "Cover the lines FIRST to LAST of the buffer with an overlay for EXECUTION.
What stood for the same code before goes; the outputs of a part may
stand inside the whole."
  (save-excursion
    (save-restriction
      (widen)
      (goto-char (point-min))
      (forward-line first)
      (let ((begin (point))
            (end (progn (forward-line (- last first)) (line-end-position))))
        (dolist (other (carpo-cells--of (current-buffer)))
          (let* ((overlay (carpo-execution-overlay other))
                 (from (overlay-start overlay))
                 (to (overlay-end overlay)))
            (when (and (<= from end) (<= begin to)
                       (not (and (<= from begin) (<= end to) (> (- to from) (- end begin)))))
              (when (= to end)
                (setf (carpo-execution-old execution) (overlay-get overlay 'carpo-below)))
              (carpo-cells--remove other))))
        (let ((overlay (make-overlay begin end nil nil t)))
          (overlay-put overlay 'carpo-execution execution)
          (overlay-put overlay 'evaporate (< begin end))
          (overlay-put overlay 'insert-behind-hooks (list #'carpo-cells--on-append))
          (setf (carpo-execution-overlay execution) overlay))))))

(defun carpo-cells-place (execution uri range)
  "Give EXECUTION its place, the RANGE of the document URI.
Return whether there is such a place."
  (carpo-cells--sweep)
  (when-let ((buffer (carpo-cells--buffer (carpo-execution-server execution) uri)))
    (let* ((start (plist-get range :start))
           (end (plist-get range :end))
           (first (plist-get start :line))
           (last (plist-get end :line)))
      (when (and (zerop (plist-get end :character)) (> last first))
        (setq last (1- last)))
      (with-current-buffer buffer
        (carpo-cells--cover execution first last)))
    t))

(defun carpo-cells-at (&optional position)
  "Return the execution that is shown for the line at POSITION.
That is by default the line at point.  Of several, return that of the
smallest piece of code.  A marker or a fence belongs to the code below."
  (save-excursion
    (when position (goto-char position))
    (beginning-of-line)
    (when (looking-at "[ \t]*\\(?:#\\|//\\|--\\|%\\|```\\).*\n\\(?:[ \t]*\n\\)*")
      (unless (carpo-cells--on-line)
        (goto-char (match-end 0))))
    (car (sort (carpo-cells--on-line)
               (lambda (one other)
                 (< (carpo-cells--size one) (carpo-cells--size other)))))))

(defun carpo-cells--on-line ()
  "Return the executions of code in the line at point."
  (delq nil (mapcar (lambda (overlay) (overlay-get overlay 'carpo-execution))
                    (overlays-in (line-beginning-position) (1+ (line-end-position))))))

(defun carpo-cells--size (execution)
  "Return how long the code of EXECUTION is."
  (let ((overlay (carpo-execution-overlay execution)))
    (- (overlay-end overlay) (overlay-start overlay))))

(defun carpo-cells-clear (&optional execution)
  "Take away what is shown of EXECUTION, by default of all in the buffer."
  (mapc #'carpo-cells--remove
        (if execution (list execution) (carpo-cells--of (current-buffer)))))

(setq carpo-executions-place-function #'carpo-cells-place
      carpo-executions-changed-function #'carpo-cells--touch)

(provide 'carpo-cells)
;;; carpo-cells.el ends here
