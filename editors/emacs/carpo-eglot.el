;;; carpo-eglot.el --- Carpo's server by eglot  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: MIT

;;; Commentary:

;; What `carpo-client' asks for, by eglot.  Loaded once eglot is.
;;
;; eglot has no public functions for a document's identifier and for telling
;; changes now; the private ones that are used here have had their names since
;; its first versions.

;;; Code:

(require 'eglot)
(require 'carpo-client)

(declare-function eglot--TextDocumentIdentifier "eglot")
(declare-function eglot--signal-textDocument/didChange "eglot")

(cl-defmethod carpo-client-send ((server eglot-lsp-server) method params on-result on-error)
  "Send SERVER a request METHOD with PARAMS; call ON-RESULT or ON-ERROR."
  (jsonrpc-async-request
   server method params
   :success-fn on-result
   :error-fn (lambda (problem) (funcall on-error (carpo-client-message problem)))
   :timeout carpo-client-seconds
   :timeout-fn (lambda () (funcall on-error (format "the server does not answer %s" method)))))

(cl-defmethod carpo-client-uri ((_server eglot-lsp-server))
  "Return the URI of the current buffer."
  (plist-get (eglot--TextDocumentIdentifier) :uri))

(cl-defmethod carpo-client-capabilities ((server eglot-lsp-server))
  "Return the capabilities of SERVER."
  (slot-value server 'capabilities))

(cl-defmethod carpo-client-flush ((_server eglot-lsp-server))
  "Bring the server up to date, which eglot would do after a while."
  (when (eglot-managed-p)
    (eglot--signal-textDocument/didChange)))

(cl-defmethod carpo-client-running-p ((server eglot-lsp-server))
  "Return non-nil if SERVER has not ended."
  (jsonrpc-running-p server))

(cl-defmethod carpo-client-shut-down-p ((server eglot-lsp-server))
  "Return non-nil if the user has shut SERVER down."
  (and (slot-boundp server 'shutdown-requested)
       (slot-value server 'shutdown-requested)))

(defun carpo-eglot-server ()
  "Return eglot's server of the current buffer if it is one of carpo's."
  (when-let ((server (and (eglot-managed-p) (eglot-current-server))))
    (and (jsonrpc-running-p server)
         (carpo-client-carpo-p (slot-value server 'capabilities))
         server)))

(defmacro carpo-eglot--take (method)
  "Have eglot pass on the notification METHOD."
  `(cl-defmethod eglot-handle-notification (server (_method (eql ',method)) &rest params)
     ,(format "Take a %s from SERVER with PARAMS." method)
     (carpo-client-notify server ',method params)))

(carpo-eglot--take carpo/executionState)
(carpo-eglot--take carpo/output)
(carpo-eglot--take carpo/inputRequest)
(carpo-eglot--take carpo/kernelStatus)

(defun carpo-eglot--changed ()
  "Say that eglot has begun or stopped to manage the buffer."
  (run-hooks 'carpo-client-changed-hook))

(add-hook 'eglot-managed-mode-hook #'carpo-eglot--changed)
(add-hook 'carpo-client-finders #'carpo-eglot-server)

(provide 'carpo-eglot)
;;; carpo-eglot.el ends here
