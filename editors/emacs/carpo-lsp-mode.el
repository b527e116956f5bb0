;;; carpo-lsp-mode.el --- Carpo's server by lsp-mode  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: MIT

;;; Commentary:

;; What `carpo-client' asks for, by lsp-mode.  Loaded once lsp-mode is.

;;; Code:

(require 'lsp-mode)
(require 'carpo-client)

(defconst carpo-lsp-mode-id 'carpo
  "The server's id in lsp-mode.")

(cl-defmethod carpo-client-send ((server lsp--workspace) method params on-result on-error)
  "Send SERVER a request METHOD with PARAMS; call ON-RESULT or ON-ERROR."
  (with-lsp-workspace server
    (lsp-request-async (symbol-name method) params on-result
                       :mode 'detached
                       :error-handler (lambda (problem)
                                        (funcall on-error (carpo-client-message problem))))))

(cl-defmethod carpo-client-uri ((_server lsp--workspace))
  "Return the URI of the current buffer."
  (lsp--buffer-uri))

(cl-defmethod carpo-client-capabilities ((server lsp--workspace))
  "Return the capabilities of SERVER."
  (carpo-client-plain (lsp--workspace-server-capabilities server)))

(cl-defmethod carpo-client-running-p ((server lsp--workspace))
  "Return non-nil if SERVER has not ended."
  (process-live-p (lsp--workspace-cmd-proc server)))

(defun carpo-lsp-mode-server ()
  "Return lsp-mode's carpo server of the buffer, which may have others."
  (cl-find-if (lambda (workspace)
                (and (eq (lsp--workspace-status workspace) 'initialized)
                     (carpo-client-carpo-p (carpo-client-capabilities workspace))))
              (and (bound-and-true-p lsp-mode) (lsp-workspaces))))

(defun carpo-lsp-mode-register (command modes options)
  "Register the server with lsp-mode.
COMMAND is a function that returns its program and arguments, MODES are
major modes, and OPTIONS is a function that returns initialization
options."
  (lsp-register-client
   (make-lsp-client
    :new-connection (lsp-stdio-connection command)
    :server-id carpo-lsp-mode-id
    :major-modes modes
    :add-on? t
    :initialization-options options
    :notification-handlers
    (let ((handlers (make-hash-table :test #'equal)))
      (dolist (method carpo-client-methods handlers)
        (puthash (symbol-name method)
                 (lambda (server params) (carpo-client-notify server method params))
                 handlers))))))

(defun carpo-lsp-mode--opened ()
  "Say that the buffer has got a server."
  (run-hooks 'carpo-client-changed-hook))

(defun carpo-lsp-mode--ended (workspace)
  "Say to the buffers of WORKSPACE that it has ended."
  (dolist (buffer (lsp--workspace-buffers workspace))
    (when (buffer-live-p buffer)
      (with-current-buffer buffer
        (run-hooks 'carpo-client-changed-hook)))))

(add-hook 'lsp-after-open-hook #'carpo-lsp-mode--opened)
(add-hook 'lsp-after-uninitialized-functions #'carpo-lsp-mode--ended)
(add-hook 'carpo-client-finders #'carpo-lsp-mode-server)

(provide 'carpo-lsp-mode)
;;; carpo-lsp-mode.el ends here
