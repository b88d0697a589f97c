/** Why an answer failed, in the page's language. */
import { formatNumber, t } from './i18n.ts';
import type { ReplyError } from './reply.ts';

export function errorTitle(error: ReplyError): string {
  switch (error.kind) {
    case 'auth':
      return t('errorAuth');
    case 'busy':
      return error.retryAfterSeconds === undefined
        ? t('errorBusy')
        : t('errorBusyRetry', { seconds: formatNumber(error.retryAfterSeconds) });
    case 'loading':
      return t('errorLoading');
    case 'shutdown':
      return t('errorShutdown');
    case 'deadline':
      return t('errorDeadline');
    case 'model':
      return t('errorModel');
    case 'context':
      return t('errorContext');
    case 'refused':
      return t('errorRefused');
    case 'server':
      return t('errorServer');
    case 'network':
      return t('errorNetwork');
  }
}
