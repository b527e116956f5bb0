;;; carpo.el --- Live Jupyter kernels by carpo-lsp  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: MIT

;; Author: The carpo-lsp developers
;; Version: 0.1.0
;; Package-Requires: ((emacs "28.1"))
;; Keywords: languages, tools, processes

;;; Commentary:

;; Run the cells of a document in live Jupyter kernels, by the language server
;; carpo-lsp with eglot or lsp-mode.  Results stand below their cells, code asks
;; in the minibuffer, and completion knows what is really in memory.
;;
;;     (require 'carpo)
;;     (carpo-setup)
;;
;; Commands begin with `carpo-'; in documents they are on the prefix "C-c ,".

;;; Code:

(require 'carpo-cells)
(require 'carpo-client)
(require 'carpo-executions)
(require 'carpo-kernels)
(require 'carpo-output-mode)
(require 'carpo-prompts)
(require 'easymenu)
(require 'seq)
(require 'subr-x)

(declare-function carpo-lsp-mode-register "carpo-lsp-mode")
(declare-function eglot-ensure "eglot")
(declare-function lsp "lsp-mode")
(defvar eglot-server-programs)
(defvar eglot-sync-connect)

(defcustom carpo-server-command '("carpo-lsp")
  "The program of the server, and its arguments."
  :type '(repeat string)
  :group 'carpo)

(defcustom carpo-language-client 'eglot
  "What starts the server in documents, and for the first run.
With nil you start it yourself: \\[eglot] and \\[lsp] work all the same."
  :type '(choice (const eglot) (const lsp-mode) (const :tag "None" nil))
  :group 'carpo)

(defcustom carpo-modes
  '((python-mode . "python") (python-ts-mode . "python")
    (ess-r-mode . "r") (r-ts-mode . "r")
    (julia-mode . "julia") (julia-ts-mode . "julia")
    (markdown-mode . "markdown") (gfm-mode . "markdown"))
  "Major modes of documents with code that kernels run, and their languages.
Set it before `carpo-setup'."
  :type '(alist :key-type (symbol :tag "Major mode") :value-type (string :tag "Language"))
  :group 'carpo)

(defcustom carpo-settings nil
  "Settings of the server as a property list that becomes JSON.
For example (:kernel (:start \"onRun\" :name \"python3\"))."
  :type 'plist
  :group 'carpo)

(defconst carpo--patience 60
  "Seconds that a command waits for the server to start.")

(defvar carpo--told-missing nil
  "Whether the user has been told that the server is missing.")

(defvar-local carpo--server nil
  "The server of the buffer, also when it has ended.")

(defvar-local carpo--waiting nil
  "What is to be done with the server once there is one: (TIME . FUNCTION).")

;;;; The server

(defun carpo--missing ()
  "Return what to do about a server that is missing, nil if it is there."
  (let ((program (car carpo-server-command)))
    (unless (executable-find program t)
      (let* ((here (or load-file-name (locate-library "carpo")))
             (checkout (and here (locate-dominating-file here "pyproject.toml"))))
        (format "carpo: the server \"%s\" is not where Emacs finds programs.
Install it with: pipx install %s
Or set `carpo-server-command' to its path."
                program (if checkout (directory-file-name checkout) "carpo-lsp"))))))

(defun carpo--options ()
  "Return the initialization options of the server."
  ;; Short results beside their cells would stand there twice.
  `(:carpo (:notifications t ,@carpo-settings
            ,@(unless (plist-member carpo-settings :results) '(:results (:show "off"))))))

(defun carpo--contact (&rest _)
  "Return how eglot reaches the server."
  (when-let ((missing (carpo--missing)))
    (user-error "%s" missing))
  `(,@carpo-server-command :initializationOptions ,(carpo--options)))

;;;###autoload
(defun carpo-setup ()
  "Tell eglot and lsp-mode of the server, and start it in documents.
See `carpo-modes' and `carpo-language-client'."
  (with-eval-after-load 'eglot
    (require 'carpo-eglot)
    (pcase-dolist (`(,mode . ,language) carpo-modes)
      (add-to-list 'eglot-server-programs
                   `(((,mode :language-id ,language)) . ,#'carpo--contact))))
  (with-eval-after-load 'lsp-mode
    (require 'carpo-lsp-mode)
    (carpo-lsp-mode-register (lambda () carpo-server-command) (mapcar #'car carpo-modes)
                             #'carpo--options))
  (pcase-dolist (`(,mode . ,_) carpo-modes)
    (add-hook (intern (format "%s-hook" mode)) #'carpo-ensure)))

(defun carpo-ensure ()
  "Start the server if the buffer visits a file, and if it is installed."
  (when (and buffer-file-name carpo-language-client)
    (if-let ((missing (carpo--missing)))
        (unless carpo--told-missing
          (setq carpo--told-missing t)
          (display-warning 'carpo missing :error))
      (pcase carpo-language-client
        ('eglot (eglot-ensure))
        ('lsp-mode (lsp))))))

(defun carpo--start ()
  "Start the server for the buffer now, or say why that is impossible."
  (unless buffer-file-name
    (user-error "Carpo: the buffer has to visit a file"))
  (when-let ((missing (carpo--missing)))
    (user-error "%s" missing))
  (pcase carpo-language-client
    ('eglot (let ((eglot-sync-connect t)) ; or the next command would start another
              (call-interactively #'eglot)))
    ('lsp-mode (lsp))
    (_ (user-error "Carpo: start the server with M-x eglot or M-x lsp"))))

(defun carpo--with-server (function)
  "Call FUNCTION with the server of the current buffer, started if need be."
  (let ((server (carpo-client-server)))
    (if (and server (null carpo--waiting))
        (funcall function server)
      (push (cons (float-time) function) carpo--waiting)
      (if server
          (run-at-time 0 nil #'carpo--go-on (current-buffer))
        (carpo--start)))))

(defun carpo--go-on (buffer)
  "Do what waits for the server of BUFFER."
  (when (buffer-live-p buffer)
    (with-current-buffer buffer
      (when-let ((server (carpo-client-server)))
        (let ((waiting (nreverse carpo--waiting)))
          (setq carpo--waiting nil)
          (pcase-dolist (`(,time . ,function) waiting)
            (when (< (- (float-time) time) carpo--patience)
              (funcall function server))))))))

(defun carpo--gone (server)
  "Say once that SERVER has ended, and its kernels with it."
  (dolist (buffer (buffer-list))
    (when (eq (buffer-local-value 'carpo--server buffer) server)
      (with-current-buffer buffer
        (setq carpo--server nil))))
  (carpo-executions-server-gone server)
  (carpo-kernels-server-gone server)
  (unless (carpo-client-shut-down-p server)
    (message "carpo: the server has ended, and its kernels with it.  The next run starts it again.")))

(defun carpo--follow-client ()
  "Follow the language client, which has got a server or lost it."
  (let ((server (carpo-client-server)))
    (when (and carpo--server (not (eq server carpo--server)))
      (if (carpo-client-running-p carpo--server)
          (setq carpo--server nil) ; it goes on for other buffers
        (carpo--gone carpo--server)))
    (when server
      (let ((new (not (seq-find (lambda (buffer)
                                  (eq (buffer-local-value 'carpo--server buffer) server))
                                (buffer-list)))))
        (setq carpo--server server)
        (carpo-mode)
        (when new
          (carpo-kernels-refresh server)))
      ;; The client opens the document only behind this.
      (run-at-time 0 nil #'carpo--go-on (current-buffer)))))

(defun carpo--forget ()
  "Forget what is shown in a buffer that is killed."
  (carpo-cells-clear))

(setq carpo-client-notification-functions
      '((carpo/executionState . carpo-executions-on-state)
        (carpo/output . carpo-executions-on-output)
        (carpo/inputRequest . carpo-prompts-on-input)
        (carpo/kernelStatus . carpo-kernels-on-status)))
(add-hook 'carpo-client-changed-hook #'carpo--follow-client)

;;;; Commands

(defun carpo--command (command &optional begin end &rest arguments)
  "Have the server run COMMAND for the document.
It is told the position BEGIN, by default point, or the range from BEGIN
to END, and ARGUMENTS."
  (let ((begin (copy-marker (or begin (point))))
        (end (and end (copy-marker end)))
        (buffer (current-buffer)))
    (carpo--with-server
     (lambda (server)
       (with-current-buffer buffer
         (let ((start (carpo-client-position server begin)))
           (carpo-client-request
            server 'workspace/executeCommand
            (list :command (concat "carpo." command)
                  :arguments
                  (vector `(:uri ,(carpo-client-uri server)
                            ,@(if end
                                  `(:range (:start ,start :end ,(carpo-client-position server end)))
                                `(:position ,start))
                            ,@arguments))))))))))

(defmacro carpo--define-command (name command documentation)
  "Define the command NAME that has the server run COMMAND.
DOCUMENTATION says what it does."
  (declare (doc-string 3) (indent 2))
  `(defun ,name ()
     ,documentation
     (interactive)
     (carpo--command ,command)))

(carpo--define-command carpo-run-cell "runCell"
  "Run the cell at point.")
(carpo--define-command carpo-run-statement "runStatement"
  "Run the statement at point.")
(carpo--define-command carpo-run-above "runAbove"
  "Run all cells above the one at point.")
(carpo--define-command carpo-run-below "runBelow"
  "Run the cell at point and all below it.")
(carpo--define-command carpo-run-all "runAll"
  "Run all cells.")
(carpo--define-command carpo-restart-and-run-all "restartAndRunAll"
  "Restart the kernels of the document and run all cells.")
(carpo--define-command carpo-interrupt "interrupt"
  "Interrupt what the kernels of the document run.")
(carpo--define-command carpo-restart "restartKernel"
  "Restart the kernels of the document.")
(carpo--define-command carpo-shutdown "shutdownKernel"
  "End the kernels of the document.")
(carpo--define-command carpo-show-results "showOutput"
  "Show the file with all results of the document.")
(carpo--define-command carpo-export-notebook "exportNotebook"
  "Write a notebook with the cells of the document and their outputs.")

(defun carpo-run-region (begin end)
  "Run the code between BEGIN and END, or what is selected."
  (interactive "r")
  (carpo--command "runSelection" begin end)
  (deactivate-mark))

(defun carpo-run ()
  "Run what is selected, else the cell at point."
  (interactive)
  (if (use-region-p)
      (carpo-run-region (region-beginning) (region-end))
    (carpo-run-cell)))

(defun carpo-run-cell-and-advance ()
  "Run the cell at point and go to the next one."
  (interactive)
  (carpo-run-cell)
  (let ((buffer (current-buffer))
        (window (selected-window))
        (line (1- (line-number-at-pos nil t))))
    (carpo--with-server
     (lambda (server)
       (with-current-buffer buffer
         ;; Lenses stand on the first lines of all cells with code.
         (carpo-client-request
          server 'textDocument/codeLens
          `(:textDocument (:uri ,(carpo-client-uri server)))
          (lambda (lenses)
            (when (buffer-live-p buffer)
              (with-current-buffer buffer
                (carpo--go-below line lenses)
                (when (eq (window-buffer window) buffer)
                  (set-window-point window (point))))))))))))

(defun carpo--go-below (line lenses)
  "Go to the code of the first of the LENSES below LINE, if there is one."
  (let ((next (seq-find (lambda (other) (> other line))
                        (sort (mapcar (lambda (lens)
                                        (plist-get (plist-get (plist-get lens :range) :start)
                                                   :line))
                                      lenses)
                              #'<))))
    (when next
      (widen)
      (goto-char (point-min))
      (forward-line (1+ next)))))

(defun carpo-select-kernel ()
  "Choose the kernel of the document: a running one, or one to start."
  (interactive)
  (let ((buffer (current-buffer)))
    (carpo--with-server
     (lambda (server)
       (with-current-buffer buffer
         (let* ((choices (carpo--kernel-choices server))
                (name (completing-read "Kernel: " choices nil t)))
           (carpo--command "selectKernel" nil nil :name (cdr (assoc name choices)))))))))

(defun carpo--kernel-choices (server)
  "Return an alist from title to name of the kernels of SERVER."
  (append
   (mapcar (lambda (kernel)
             (cons (format "%s, runs as %s" (plist-get kernel :displayName)
                           (or (plist-get kernel :pid) (plist-get kernel :kernelId)))
                   (plist-get kernel :kernelId)))
           (plist-get (carpo-client-ask server 'carpo/listKernels (make-hash-table)) :kernels))
   (mapcar (lambda (spec)
             (cons (format "%s (%s)" (plist-get spec :displayName) (plist-get spec :name))
                   (plist-get spec :specPath)))
           (plist-get (carpo-client-ask server 'carpo/listKernelSpecs (make-hash-table))
                      :specs))))

(defun carpo-answer ()
  "Answer the prompt that code waits with."
  (interactive)
  (carpo-prompts-ask))

(defun carpo-show-output ()
  "Show all output of the code at point."
  (interactive)
  (if-let ((execution (carpo-cells-at)))
      (carpo-output-show execution)
    (user-error "Carpo: nothing has been run at this line")))

(defun carpo-clear ()
  "Clear the outputs of the cell at point."
  (interactive)
  (when-let ((execution (carpo-cells-at)))
    (carpo-cells-clear execution))
  (carpo--command "clearOutput"))

(defun carpo-clear-all ()
  "Clear all outputs of the document."
  (interactive)
  (let ((server (carpo-client-server)))
    (carpo-cells-clear)
    (when server
      (carpo-client-request server 'workspace/executeCommand
                            (list :command "carpo.clearOutput"
                                  :arguments (vector (list :uri (carpo-client-uri server))))))))

;;;; The mode

(defun carpo-mode-line ()
  "Return the kernels of the buffer and their states for the mode line."
  (let ((server (carpo-client-server)))
    (cond ((null server) " carpo:off")
          ((carpo-kernels-of server (carpo-client-uri server))
           (format " [%s]" (mapconcat #'carpo-kernels-words
                                      (carpo-kernels-of server (carpo-client-uri server))
                                      ", ")))
          (t " carpo"))))

(defvar carpo-command-map
  (let ((map (make-sparse-keymap)))
    (pcase-dolist (`(,key . ,command)
                   '(("," . carpo-run) ("c" . carpo-run-cell) ("n" . carpo-run-cell-and-advance)
                     ("s" . carpo-run-statement) ("r" . carpo-run-region)
                     ("a" . carpo-run-above) ("b" . carpo-run-below) ("A" . carpo-run-all)
                     ("R" . carpo-restart-and-run-all) ("i" . carpo-interrupt)
                     ("0" . carpo-restart) ("q" . carpo-shutdown) ("k" . carpo-select-kernel)
                     ("?" . carpo-answer) ("o" . carpo-show-output) ("O" . carpo-show-results)
                     ("d" . carpo-clear) ("D" . carpo-clear-all) ("x" . carpo-export-notebook)))
      (define-key map (kbd key) command))
    map)
  "The commands of `carpo-mode' on single keys, for a prefix.")

(defvar carpo-mode-map
  (let ((map (make-sparse-keymap)))
    (define-key map (kbd "C-c ,") carpo-command-map)
    map)
  "The keys of `carpo-mode'.")

(easy-menu-define carpo-menu carpo-mode-map
  "The menu of `carpo-mode'."
  '("Carpo"
    ["Run cell or selection" carpo-run]
    ["Run cell and advance" carpo-run-cell-and-advance]
    ["Run statement" carpo-run-statement]
    ["Run cells above" carpo-run-above]
    ["Run this cell and those below" carpo-run-below]
    ["Run all cells" carpo-run-all]
    ["Restart and run all cells" carpo-restart-and-run-all]
    "---"
    ["Show all output of the cell" carpo-show-output]
    ["Show the file with all results" carpo-show-results]
    ["Clear the outputs of the cell" carpo-clear]
    ["Clear all outputs" carpo-clear-all]
    ["Export a notebook" carpo-export-notebook]
    "---"
    ["Answer the prompt" carpo-answer]
    ["Interrupt" carpo-interrupt]
    ["Restart the kernel" carpo-restart]
    ["End the kernel" carpo-shutdown]
    ["Select a kernel" carpo-select-kernel]))

;;;###autoload
(define-minor-mode carpo-mode
  "Run code of the buffer in live Jupyter kernels.
It comes by itself with the server; without one, the commands start it.

\\{carpo-mode-map}"
  :lighter (:eval (carpo-mode-line))
  (if carpo-mode
      (add-hook 'kill-buffer-hook #'carpo--forget nil t)
    (remove-hook 'kill-buffer-hook #'carpo--forget t)
    (carpo-cells-clear)))

(provide 'carpo)
;;; carpo.el ends here
